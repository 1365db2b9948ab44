import type { Logger } from 'pino';
import { PathWatch, type WatchTimes } from '../sources/path-watch.js';
import { textOf } from '../sys/filetext.js';
import { readRegularFile, SMALL_FILE } from '../sys/readfile.js';
import { parseConfigFile } from './config-file.js';

/** Nobody waits for a new configuration at the desk: what events do not tell may take some seconds. */
const TIMES: WatchTimes = { debounceMs: 100, maxDelayMs: 1000, pollMs: 5000 };

/**
 * Looks after the file given with --config. As kube-proxy does, a process ends when its content changes, to
 * be started again with the new one; other than there, not for one that could not be used: a mistake must not
 * take the node's Services down.
 */
export class ConfigWatch {
  /** Resolves once the file says something else than at the start. */
  readonly changed: Promise<void>;
  readonly #path: string;
  readonly #log: Logger;
  #watch!: PathWatch;
  readonly #text: string;
  /** The last content that could not be used: it is told once. */
  #refused = '';
  #hasChanged = false;

  /** @param text what the file said when it was read */
  constructor(path: string, text: string, log: Logger) {
    this.#path = path;
    this.#text = text;
    this.#log = log;
    this.changed = new Promise((resolve) => {
      const look = async () => {
        this.#hasChanged ||= await this.#isNew();
        if (this.#hasChanged) resolve();
      };
      this.#watch = new PathWatch([path], '', () => void look(), log, TIMES);
    });
  }

  get hasChanged(): boolean {
    return this.#hasChanged;
  }

  start(): Promise<void> {
    return this.#watch.start();
  }

  stop(): void {
    this.#watch.stop();
  }

  async #isNew(): Promise<boolean> {
    const text = await readRegularFile(this.#path, SMALL_FILE).then(textOf, () => this.#text);
    if (text === this.#text || text === this.#refused) return false;
    const path = this.#path;
    try {
      parseConfigFile(text);
    } catch (error) {
      this.#refused = text;
      const reason = (error as Error).message;
      this.#log.error(
        { path, reason },
        'the new configuration cannot be used; the one before stays in force',
      );
      return false;
    }
    this.#log.warn(
      { path },
      'the configuration has changed: ending, to be started again; rules stay in place',
    );
    return true;
  }
}
