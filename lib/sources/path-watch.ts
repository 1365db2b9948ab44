import { type FSWatcher, watch } from 'node:fs';
import { basename } from 'node:path';
import type { Logger } from 'pino';
import { directoryOf, isManifestName, reasonOf, stampOf } from './manifest-paths.js';

/** Times in milliseconds. */
export interface WatchTimes {
  /** Time without events before `onChange` is called, so that a writer can finish. */
  readonly debounceMs: number;
  /** `onChange` is called at most this long after the first event, even if more events come. */
  readonly maxDelayMs: number;
  /** Time between two polls. A poll finds changes without events: a link's target, a new directory, NFS. */
  readonly pollMs: number;
}

/** A poll of many files can take long. The pause after it is at least so many times as long. */
const MIN_REST_FACTOR = 10;

/** Calls back when a file, or a file in a directory, may have changed. */
export class PathWatch {
  readonly #paths: readonly string[];
  /** Names of files given by the user. They need not end in .yaml or .json. */
  readonly #names: ReadonlySet<string>;
  readonly #onChange: () => void;
  readonly #log: Logger;
  readonly #times: WatchTimes;
  readonly #watchers: FSWatcher[] = [];
  #stamp: string;
  #firstEventMs: number | null = null;
  #debounceTimer: NodeJS.Timeout | undefined;
  #pollTimer: NodeJS.Timeout | undefined;
  #isStopped = false;

  /** @param stamp the result of {@link stampOf} for the paths, taken before the files were last read */
  constructor(paths: readonly string[], stamp: string, onChange: () => void, log: Logger, times: WatchTimes) {
    this.#paths = paths;
    this.#names = new Set(paths.map((path) => basename(path)));
    this.#stamp = stamp;
    this.#onChange = onChange;
    this.#log = log;
    this.#times = times;
  }

  async start(): Promise<void> {
    const directories = await Promise.all(this.#paths.map(directoryOf));
    if (this.#isStopped) return;
    for (const directory of new Set(directories)) this.#watchDirectory(directory);
    this.#schedulePoll();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#debounceTimer);
    clearTimeout(this.#pollTimer);
    for (const watcher of this.#watchers) watcher.close();
  }

  /** Without inotify, polling still finds every change. The limits of inotify count per user. */
  #watchDirectory(directory: string): void {
    const onError = (error: unknown) =>
      this.#log.warn(
        { directory, reason: reasonOf(error) },
        'the kernel reports no changes in this directory; changes are found by polling',
      );
    try {
      this.#watchers.push(
        watch(directory, (_, name) => this.#isRelevant(name) && this.#onEvent()).on('error', onError),
      );
    } catch (error) {
      onError(error);
    }
  }

  /**
   * Whether an event may be about a manifest. In a busy directory most events are not. A ConfigMap mount
   * changes by a new `..data` link.
   */
  #isRelevant(name: string | null): boolean {
    return name === null || name.startsWith('..') || isManifestName(name) || this.#names.has(name);
  }

  #onEvent(): void {
    const now = performance.now();
    this.#firstEventMs ??= now;
    const latest = this.#firstEventMs + this.#times.maxDelayMs - now;
    clearTimeout(this.#debounceTimer);
    this.#debounceTimer = setTimeout(
      () => {
        this.#firstEventMs = null;
        this.#onChange();
      },
      Math.max(0, Math.min(this.#times.debounceMs, latest)),
    );
  }

  #schedulePoll(tookMs = 0): void {
    const wait = Math.max(this.#times.pollMs, tookMs * MIN_REST_FACTOR);
    this.#pollTimer = setTimeout(() => void this.#poll(), wait);
  }

  async #poll(): Promise<void> {
    const started = performance.now();
    const stamp = await stampOf(this.#paths);
    if (this.#isStopped) return;
    if (stamp !== this.#stamp) {
      this.#stamp = stamp;
      this.#onEvent();
    }
    this.#schedulePoll(performance.now() - started);
  }
}
