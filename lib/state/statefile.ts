import { join } from 'node:path';
import type { Logger } from 'pino';
import { readRegularFile } from '../sys/readfile.js';
import { removeFile, replaceFile } from '../sys/replacefile.js';
import { type LossWording, WriteReport } from './writereport.js';

/** The proxy port of each portal. */
export const PORTS_FILE = 'ports.json';
/** The addresses that kube-portal gave to the loopback device. */
export const ADDRESSES_FILE = 'addresses.json';
/** A journal of the pins of session affinity. */
export const PINS_FILE = 'pins.journal';

/** Enough for more than 100,000 ports or addresses. */
const READ_LIMITS = { maxBytes: 16 << 20, noLinks: true };

/** The file exists and cannot be used. The message names the file. */
class StateFileError extends Error {}

/** A JSON file with state that the next run needs, also after this run was killed. */
export class StateFile {
  readonly path: string;

  constructor(directory: string, name: string) {
    this.path = join(directory, name);
  }

  /**
   * @param parse checks the content, which may be anything, and throws if it is not valid
   * @returns null if there is no such file
   * @throws StateFileError
   */
  async read<T>(parse: (value: unknown) => T): Promise<T | null> {
    try {
      return parse(JSON.parse((await readRegularFile(this.path, READ_LIMITS)).toString()));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return null;
      throw new StateFileError(`${this.path} cannot be used: ${message}`);
    }
  }

  async write(value: unknown): Promise<void> {
    await replaceFile(this.path, `${JSON.stringify(value)}\n`);
  }

  async remove(): Promise<void> {
    await removeFile(this.path);
  }
}

/** The members of a JSON object. @throws Error if the value is not a JSON object */
export function mappingOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new Error('it is not a JSON object');
}

/**
 * Keeps one value in a state file. If the file cannot be used, that is logged once, and its end is logged
 * too. It is never an error for the caller.
 */
export class StateMemory {
  readonly #file: StateFile;
  readonly #log: Logger;
  readonly #wording: LossWording;
  readonly #report: WriteReport;

  constructor(file: StateFile, log: Logger, wording: LossWording) {
    this.#file = file;
    this.#log = log;
    this.#wording = wording;
    this.#report = new WriteReport(file.path, log, wording);
  }

  /** @param parse as {@link StateFile.read} @returns null if there is no valid value */
  async recall<T>(parse: (value: unknown) => T): Promise<T | null> {
    try {
      return await this.#file.read(parse);
    } catch (error) {
      if (!(error instanceof StateFileError)) throw error;
      this.#log.warn(`${error.message}; the file is ignored: ${this.#wording.loss}`);
      return null;
    }
  }

  /** @returns whether the file has the value now */
  async keep(value: unknown): Promise<boolean> {
    try {
      await this.#file.write(value);
      this.#report.succeeded();
      return true;
    } catch (error) {
      this.#report.failed((error as Error).message);
      return false;
    }
  }

  /** Removes the file: its value is no longer needed. */
  async forget(): Promise<void> {
    try {
      await this.#file.remove();
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.warn({ reason }, `cannot remove ${this.#file.path}; a file that stays does no harm`);
    }
  }
}
