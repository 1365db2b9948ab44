import type { Logger } from 'pino';
import { PathWatch, type WatchTimes } from '../sources/path-watch.js';
import { textOf } from '../sys/filetext.js';
import { readRegularFile, SMALL_FILE } from '../sys/readfile.js';
import { parseConfigFile } from './config-file.js';

/** A change without an inotify event is found within 5 s. A new configuration is not urgent. */
const TIMES: WatchTimes = { debounceMs: 100, maxDelayMs: 1000, pollMs: 5000 };

/**
 * Watches the file of --config. When its content changes, the process ends and is started again with the new
 * content, as in kube-proxy. If the new content is not valid, the process goes on (kube-proxy ends here too):
 * a typing mistake must not stop the node's Services.
 */
export class ConfigWatch {
  /** Resolves once the file has a new content that is valid. */
  readonly changed: Promise<void>;
  readonly #path: string;
  readonly #log: Logger;
  #watch!: PathWatch;
  readonly #text: string;
  /** The last content that was not valid. It is logged once. */
  #refused = '';
  #hasChanged = false;

  /** @param text the content with which this process was started */
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
        'the new configuration cannot be used; the old configuration stays in force',
      );
      return false;
    }
    this.#log.warn(
      { path },
      'the configuration has changed: this process ends, so that it is started again; rules stay in place',
    );
    return true;
  }
}
