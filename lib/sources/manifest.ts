import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Logger } from 'pino';
import type { ObjectSet } from '../model/objects.js';
import { freshProblems } from '../model/problem.js';
import { type FileState, holdFile, readManifest } from './manifest-file.js';
import { listManifests, reasonOf, stampOf } from './manifest-paths.js';
import { describeManifestProblem, ManifestError, type ManifestProblem } from './manifest-problem.js';
import { mergeFiles } from './merge.js';
import { PathWatch, type WatchTimes } from './path-watch.js';
import type { Source } from './source.js';

/** A change shows well within a second even where only the poll finds it. */
const DEFAULT_TIMES: WatchTimes = { debounceMs: 50, maxDelayMs: 250, pollMs: 500 };

/**
 * Services and endpoints from YAML and JSON files, followed as they change.
 *
 * What cannot be used is refused document by document and told in {@link problems}; the rest, and the last good
 * version of what was refused, keep serving. A file that disappears from a directory takes its objects along; a path
 * that was named itself and disappears is taken for an accident, and its objects stay.
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
  #stopped = false;

  /** `paths` are files or directories; `times` are for tests. */
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
    const stamp = await stampOf(this.#paths);
    await this.#read();
    if (this.#stopped) return;
    onChange(this.#objects);
    const reread = () => {
      this.#reading = this.#reading.then(() => this.#reread(onChange));
    };
    this.#watch = new PathWatch(this.#paths, stamp, reread, this.#log, this.#times);
    await this.#watch.start();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#watch?.stop();
    await this.#reading;
  }

  async #checkPaths(): Promise<void> {
    for (const path of this.#paths) {
      try {
        const files = await listManifests(path);
        if (files.length === 0)
          this.#log.warn({ path }, 'no manifests (*.yaml, *.yml, *.json) in the directory yet');
        if (files[0] === path) await readFile(path);
      } catch (error) {
        throw new ManifestError(
          `cannot read manifest ${path}: ${reasonOf(error)}; check the path given to --manifest`,
        );
      }
    }
  }

  async #reread(onChange: (objects: ObjectSet) => void): Promise<void> {
    const before = this.#objects;
    try {
      await this.#read();
      if (this.#objects !== before && !this.#stopped) onChange(this.#objects);
    } catch (err) {
      this.#log.error({ err }, 'manifests could not be applied; the last state stays');
    }
  }

  async #read(): Promise<void> {
    const files = new Map<string, FileState>();
    for (const path of this.#paths) {
      for (const [file, state] of await this.#readPath(path)) files.set(file, state);
    }
    const { objects, problems } = mergeFiles(files.values(), this.#objects);
    this.#files = files;
    this.#objects = objects;
    this.#report(problems);
  }

  async #readPath(path: string): Promise<Map<string, FileState>> {
    try {
      return await this.#readFiles(await listManifests(path));
    } catch (error) {
      const held = [...this.#files].filter(([file]) => dirname(file) === path);
      const state = holdFile(path, `cannot be read: ${reasonOf(error)}`, this.#files.get(path));
      return new Map([...held, [path, state]]);
    }
  }

  async #readFiles(files: readonly string[]): Promise<Map<string, FileState>> {
    const states = new Map<string, FileState>();
    for (const file of files) {
      const before = this.#files.get(file);
      const state = await this.#readFile(file, before);
      states.set(file, state);
      if (state.ignored.join() !== before?.ignored.join()) this.#reportIgnored(file, state.ignored);
    }
    return states;
  }

  async #readFile(file: string, before: FileState | undefined): Promise<FileState> {
    try {
      return readManifest(file, await readFile(file, 'utf8'), before);
    } catch (error) {
      return holdFile(file, `cannot be read: ${reasonOf(error)}`, before);
    }
  }

  #reportIgnored(file: string, kinds: readonly string[]): void {
    if (kinds.length === 0) return;
    this.#log.info({ file, kinds }, 'objects of these kinds are not used');
  }

  #report(problems: readonly ManifestProblem[]): void {
    for (const { message, ...where } of freshProblems(problems, this.#problems, describeManifestProblem)) {
      this.#log.error(where, message);
    }
    this.#problems = problems;
  }
}
