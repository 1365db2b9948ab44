import { access, constants } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Logger } from 'pino';
import type { ObjectSet } from '../model/objects.js';
import { freshProblems } from '../model/problem.js';
import { type FileState, holdFile } from './manifest-file.js';
import { isInheritedPipe, listManifests, reasonOf, stampOf } from './manifest-paths.js';
import { describeManifestProblem, ManifestError, type ManifestProblem } from './manifest-problem.js';
import { readManifestFile, readManifestPipe } from './manifest-reading.js';
import { mergeFiles } from './merge.js';
import { PathWatch, type WatchTimes } from './path-watch.js';
import type { Source } from './source.js';

/** A change shows well within a second even where only the poll finds it. */
const DEFAULT_TIMES: WatchTimes = { debounceMs: 50, maxDelayMs: 250, pollMs: 500 };

/** Of what is wrong or not used, so many are told at a time; how many more there are, in one line. */
const MAX_TOLD = 100;

/** Reading that takes long is told so often, ms. */
const PROGRESS_MS = 10_000;

/**
 * Services and endpoints from YAML and JSON files, followed as they change.
 *
 * What cannot be used is refused document by document and told in {@link problems}; the rest, and the last
 * good version of what was refused, keep serving. A file that disappears from a directory takes its objects
 * along; a path that was named itself and disappears is taken for an accident, and its objects stay.
 */
export class ManifestSource implements Source {
  readonly #paths: readonly string[];
  readonly #log: Logger;
  readonly #times: WatchTimes;
  #files: ReadonlyMap<string, FileState> = new Map();
  #objects: ObjectSet = { services: new Map(), slices: new Map() };
  #problems: readonly ManifestProblem[] = [];
  #watch: PathWatch | null = null;
  /** The running read; reads never overlap. */
  #reading: Promise<void> = Promise.resolve();
  /** One that has not begun will see every change until it does. */
  #isDue = false;
  readonly #abort = new AbortController();
  /** Paths of pipes: they have nothing more once they were read. */
  readonly #pipes = new Set<string>();

  /**
   * `paths` are files, directories, or pipes that this process was started with (`/dev/stdin`);
   * `times` are for tests.
   */
  constructor(paths: readonly string[], log: Logger, times: Partial<WatchTimes> = {}) {
    this.#paths = [...new Set(paths.map((path) => resolve(path)))];
    this.#log = log;
    this.#times = { ...DEFAULT_TIMES, ...times };
  }

  /** What is refused at present. */
  get problems(): readonly ManifestProblem[] {
    return this.#problems;
  }

  /** Rejects with {@link ManifestError} if a path cannot be read; bad documents do not stop the start. */
  async start(onChange: (objects: ObjectSet) => void): Promise<void> {
    await this.#checkPaths();
    const watched = this.#paths.filter((path) => !this.#pipes.has(path));
    const stamp = await stampOf(watched);
    const first = this.#read();
    this.#reading = first.catch(() => undefined);
    await first;
    if (this.#abort.signal.aborted) return;
    onChange(this.#objects);
    const reread = () => {
      if (this.#isDue) return;
      this.#isDue = true;
      this.#reading = this.#reading.then(() => this.#reread(onChange));
    };
    this.#watch = new PathWatch(watched, stamp, reread, this.#log, this.#times);
    await this.#watch.start();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#watch?.stop();
    await this.#reading;
  }

  async #checkPaths(): Promise<void> {
    for (const path of this.#paths) {
      try {
        if (await isInheritedPipe(path)) {
          this.#pipes.add(path);
          continue;
        }
        const files = await listManifests(path);
        if (files.length === 0)
          this.#log.warn({ path }, 'no manifests (*.yaml, *.yml, *.json) in the directory yet');
        if (files[0] === path) await access(path, constants.R_OK);
      } catch (error) {
        throw new ManifestError(
          `cannot read manifest ${path}: ${reasonOf(error)}; check the path given to --manifest`,
        );
      }
    }
  }

  async #reread(onChange: (objects: ObjectSet) => void): Promise<void> {
    this.#isDue = false;
    const before = this.#objects;
    try {
      await this.#read();
      if (this.#objects !== before && !this.#abort.signal.aborted) onChange(this.#objects);
    } catch (err) {
      this.#log.error({ err }, 'manifests could not be applied; the last state stays');
    }
  }

  /** Leaves everything as it was when it is told to stop. */
  async #read(): Promise<void> {
    const progress: Progress = { file: '', read: 0 };
    const timer = setInterval(() => this.#log.info({ ...progress }, 'still reading manifests'), PROGRESS_MS);
    try {
      const files = new Map<string, FileState>();
      for (const path of this.#paths) {
        for (const [file, state] of await this.#readPath(path, progress)) files.set(file, state);
      }
      const { objects, problems } = mergeFiles(files.values(), this.#objects);
      this.#reportIgnored(files);
      this.#reportProblems(problems);
      this.#files = files;
      this.#objects = objects;
    } catch (error) {
      if (!this.#abort.signal.aborted) throw error;
    } finally {
      clearInterval(timer);
    }
  }

  async #readPath(path: string, progress: Progress): Promise<Map<string, FileState>> {
    try {
      if (this.#pipes.has(path)) return await this.#readPipe(path, progress);
      return await this.#readFiles(await listManifests(path), progress);
    } catch (error) {
      this.#abort.signal.throwIfAborted();
      const held = [...this.#files].filter(([file]) => dirname(file) === path);
      const state = holdFile(path, `cannot be read: ${reasonOf(error)}`, this.#files.get(path));
      return new Map([...held, [path, state]]);
    }
  }

  async #readPipe(path: string, progress: Progress): Promise<Map<string, FileState>> {
    progress.file = path;
    const state = this.#files.get(path) ?? (await readManifestPipe(path, this.#abort.signal));
    return new Map([[path, state]]);
  }

  async #readFiles(files: readonly string[], progress: Progress): Promise<Map<string, FileState>> {
    const states = new Map<string, FileState>();
    for (const file of files) {
      this.#abort.signal.throwIfAborted();
      progress.file = file;
      states.set(file, await this.#readFile(file, this.#files.get(file)));
      progress.read++;
    }
    return states;
  }

  async #readFile(file: string, before: FileState | undefined): Promise<FileState> {
    const { signal } = this.#abort;
    try {
      return await readManifestFile(file, before, signal);
    } catch (error) {
      signal.throwIfAborted();
      return holdFile(file, `cannot be read: ${reasonOf(error)}`, before);
    }
  }

  #reportIgnored(files: ReadonlyMap<string, FileState>): void {
    const fresh = [...files].filter(
      ([file, { ignored }]) => ignored.length > 0 && ignored.join() !== this.#files.get(file)?.ignored.join(),
    );
    for (const [file, { ignored }] of fresh.slice(0, MAX_TOLD)) {
      this.#log.info({ file, kinds: ignored }, 'objects of these kinds are not used');
    }
    const more = fresh.length - MAX_TOLD;
    if (more > 0) this.#log.info({ more }, 'so it is with objects in more files');
  }

  #reportProblems(problems: readonly ManifestProblem[]): void {
    const fresh = freshProblems(problems, this.#problems, describeManifestProblem);
    for (const { message, ...where } of fresh.slice(0, MAX_TOLD)) this.#log.error(where, message);
    const more = fresh.length - MAX_TOLD;
    if (more > 0) this.#log.error({ more }, 'more documents cannot be used');
    this.#problems = problems;
  }
}

/** How far a read has come. */
interface Progress {
  /** The one that is being read. */
  file: string;
  /** Files before it. */
  read: number;
}
