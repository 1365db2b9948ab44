import { type FSWatcher, watch } from 'node:fs';
import { basename } from 'node:path';
import type { Logger } from 'pino';
import { directoryOf, isManifestName, reasonOf, stampOf } from './manifest-paths.js';

/** Times in milliseconds. */
export interface WatchTimes {
  /** Quiet time after an event before the files are read, so that a writer can finish. */
  readonly debounceMs: number;
  /** At the latest so long after the first event, they are read all the same. */
  readonly maxDelayMs: number;
  /**
   * How often the files are looked at, for what events do not tell (a link's target, a replaced directory,
   * NFS).
   */
  readonly pollMs: number;
}

/** After a look at very many files it rests for so many times the time that it took. */
const POLL_REST = 10;

/** Calls back when files, given by name or by directory, may have changed. */
export class PathWatch {
  readonly #paths: readonly string[];
  /** File names given by the user need not look like a manifest's. */
  readonly #names: ReadonlySet<string>;
  readonly #onChange: () => void;
  readonly #log: Logger;
  readonly #times: WatchTimes;
  readonly #watchers: FSWatcher[] = [];
  #stamp: string;
  #firstEventMs: number | null = null;
  #debounceTimer: NodeJS.Timeout | undefined;
  #pollTimer: NodeJS.Timeout | undefined;
  #stopped = false;

  /** `stamp` is {@link stampOf} the paths from before they were last read. */
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
    if (this.#stopped) return;
    for (const directory of new Set(directories)) this.#watchDirectory(directory);
    this.#schedulePoll();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#debounceTimer);
    clearTimeout(this.#pollTimer);
    for (const watcher of this.#watchers) watcher.close();
  }

  /** Without inotify (its limits are per user and often used up) polling still finds every change. */
  #watchDirectory(directory: string): void {
    const giveUp = (error: unknown) =>
      this.#log.warn({ directory, reason: reasonOf(error) }, 'no change events; files are polled');
    try {
      this.#watchers.push(
        watch(directory, (_, name) => this.#isOurs(name) && this.#event()).on('error', giveUp),
      );
    } catch (error) {
      giveUp(error);
    }
  }

  /**
   * In a busy directory most events are not about manifests;
   * `..data` is the link that a ConfigMap mount swaps.
   */
  #isOurs(name: string | null): boolean {
    return name === null || name.startsWith('..') || isManifestName(name) || this.#names.has(name);
  }

  #event(): void {
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
    const wait = Math.max(this.#times.pollMs, tookMs * POLL_REST);
    this.#pollTimer = setTimeout(() => void this.#poll(), wait);
  }

  async #poll(): Promise<void> {
    const started = performance.now();
    const stamp = await stampOf(this.#paths);
    if (this.#stopped) return;
    if (stamp !== this.#stamp) {
      this.#stamp = stamp;
      this.#event();
    }
    this.#schedulePoll(performance.now() - started);
  }
}
