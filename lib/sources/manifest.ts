import { access, constants } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Logger } from 'pino';
import type { ObjectSet } from '../model/objects.js';
import { type FileState, holdFile } from './manifest-file.js';
import { isInheritedPipe, listManifests, reasonOf, stampOf } from './manifest-paths.js';
import { ManifestError, type ManifestProblem } from './manifest-problem.js';
import { readManifestFile, readManifestPipe } from './manifest-reading.js';
import { reportIgnored, reportProblems } from './manifest-reports.js';
import { mergeFiles } from './merge.js';
import { PathWatch, type WatchTimes } from './path-watch.js';
import type { Source } from './source.js';

/** A change takes effect within a second, even if only the poll finds it. */
const DEFAULT_TIMES: WatchTimes = { debounceMs: 50, maxDelayMs: 250, pollMs: 500 };

/** Milliseconds between two log lines about a read that takes long. */
const PROGRESS_MS = 10_000;

/**
 * Services and endpoints from YAML and JSON files. The files are watched for changes.
 *
 * An object or document that is not valid becomes one of the {@link problems}. Its last good version and all
 * other objects are still served. If a file is removed from a directory, its objects are removed. If a path
 * of --manifest itself is removed, its objects stay, because this is probably an accident.
 */
export class ManifestSource implements Source {
  readonly #paths: readonly string[];
  readonly #log: Logger;
  readonly #times: WatchTimes;
  #files: ReadonlyMap<string, FileState> = new Map();
  #objects: ObjectSet = { services: new Map(), slices: new Map() };
  #problems: readonly ManifestProblem[] = [];
  #watch: PathWatch | null = null;
  /** Resolves after the last read. Reads do not overlap. */
  #reading: Promise<void> = Promise.resolve();
  /** A read waits for the end of the running one. It will see all changes, so no other read is needed. */
  #isReadQueued = false;
  readonly #abort = new AbortController();
  /** Paths of pipes. A pipe is read once. */
  readonly #pipes = new Set<string>();

  /**
   * @param paths files, directories, or pipes that this process inherited (`/dev/stdin`)
   * @param times other times than the default, for tests
   */
  constructor(paths: readonly string[], log: Logger, times: Partial<WatchTimes> = {}) {
    this.#paths = [...new Set(paths.map((path) => resolve(path)))];
    this.#log = log;
    this.#times = { ...DEFAULT_TIMES, ...times };
  }

  /** The present problems of all files. */
  get problems(): readonly ManifestProblem[] {
    return this.#problems;
  }

  /** Rejects with {@link ManifestError} if a path cannot be read. An invalid document becomes a problem. */
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
      if (this.#isReadQueued) return;
      this.#isReadQueued = true;
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
          this.#log.warn({ path }, 'the directory has no manifests (*.yaml, *.yml, *.json) yet');
        if (files[0] === path) await access(path, constants.R_OK);
      } catch (error) {
        throw new ManifestError(
          `cannot read manifest ${path}: ${reasonOf(error)}; check the path given to --manifest`,
        );
      }
    }
  }

  async #reread(onChange: (objects: ObjectSet) => void): Promise<void> {
    this.#isReadQueued = false;
    const before = this.#objects;
    try {
      await this.#read();
      if (this.#objects !== before && !this.#abort.signal.aborted) onChange(this.#objects);
    } catch (err) {
      this.#log.error({ err }, 'a change of the manifests has not taken effect; the last state stays');
    }
  }

  /** If the source is stopped during the read, nothing changes. */
  async #read(): Promise<void> {
    const progress: Progress = { file: '', read: 0 };
    const timer = setInterval(() => this.#log.info({ ...progress }, 'still reading manifests'), PROGRESS_MS);
    try {
      const files = new Map<string, FileState>();
      for (const path of this.#paths) {
        for (const [file, state] of await this.#readPath(path, progress)) files.set(file, state);
      }
      const { objects, problems } = mergeFiles(files.values(), this.#objects);
      reportIgnored(this.#log, files, this.#files);
      reportProblems(this.#log, problems, this.#problems);
      this.#problems = problems;
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
}

/** The progress of a read, for the log. */
interface Progress {
  /** The file that is being read. */
  file: string;
  /** Number of files that were read. */
  read: number;
}
