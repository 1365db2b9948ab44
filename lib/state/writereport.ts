import { dirname } from 'node:path';
import type { Logger } from 'pino';

/** Words for log messages: what is lost while a file cannot be used. */
export interface LossWording {
  /** For example `the proxy ports`. */
  readonly what: string;
  /** A clause: the consequence, for example `a restart may choose other ports`. */
  readonly loss: string;
}

/** Logs once that a file of the state directory cannot be written, and logs the end of that once too. */
export class WriteReport {
  readonly #path: string;
  readonly #log: Logger;
  readonly #wording: LossWording;
  #isWritable = true;

  constructor(path: string, log: Logger, wording: LossWording) {
    this.#path = path;
    this.#log = log;
    this.#wording = wording;
  }

  succeeded(): void {
    if (!this.#isWritable) this.#log.info(`${this.#path} can be written again`);
    this.#isWritable = true;
  }

  failed(reason: string): void {
    const { what, loss } = this.#wording;
    if (this.#isWritable) {
      this.#log.error(
        { reason },
        `cannot remember ${what} in --state-dir ${dirname(this.#path)}: kube-portal goes on, but ${loss}; make the directory writable`,
      );
    }
    this.#isWritable = false;
  }
}
