import { dirname, join } from 'node:path';
import type { Logger } from 'pino';
import { readRegularFile } from '../sys/readfile.js';
import { removeFile, replaceFile } from '../sys/replacefile.js';

/** The proxy port of each portal. */
export const PORTS_FILE = 'ports.json';
/** The addresses that the loopback device was given. */
export const ADDRESSES_FILE = 'addresses.json';

/** Room for more than a hundred thousand ports, or addresses. */
const LIMITS = { maxBytes: 16 << 20, noLinks: true };

/** The file is there and cannot be used; the message names it. */
class StateFileError extends Error {}

/** A JSON file in which a killed run leaves what its successor must know. */
export class StateFile {
  readonly path: string;

  constructor(directory: string, name: string) {
    this.path = join(directory, name);
  }

  /**
   * @param parse checks the content, which may be anything; throws where it is not what is wanted
   * @returns null where there is no such file
   * @throws StateFileError
   */
  async read<T>(parse: (value: unknown) => T): Promise<T | null> {
    try {
      return parse(JSON.parse((await readRegularFile(this.path, LIMITS)).toString()));
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

/** The members of a JSON object. @throws Error where it is none */
export function mappingOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new Error('it is not a JSON object');
}

/** What is lost where nothing can be remembered, for people. */
interface Stakes {
  /** For example `the proxy ports`. */
  readonly what: string;
  /** A clause: what then happens, and to whom. */
  readonly loss: string;
}

/**
 * What is remembered in a state file, as far as that is possible. Trouble with the file is told, once, and so
 * is its end; it never keeps anything else from being done.
 */
export class StateMemory {
  readonly #file: StateFile;
  readonly #log: Logger;
  readonly #stakes: Stakes;
  #isWritable = true;

  constructor(file: StateFile, log: Logger, stakes: Stakes) {
    this.#file = file;
    this.#log = log;
    this.#stakes = stakes;
  }

  /** @param parse as {@link StateFile.read} @returns null where nothing is remembered */
  async recall<T>(parse: (value: unknown) => T): Promise<T | null> {
    try {
      return await this.#file.read(parse);
    } catch (error) {
      if (!(error instanceof StateFileError)) throw error;
      this.#log.warn(`${error.message}; it is left aside: ${this.#stakes.loss}`);
      return null;
    }
  }

  /** @returns whether it is written down */
  async keep(value: unknown): Promise<boolean> {
    try {
      await this.#file.write(value);
      if (!this.#isWritable) this.#log.info(`${this.#file.path} can be written again`);
      this.#isWritable = true;
    } catch (error) {
      if (this.#isWritable) this.#complain((error as Error).message);
      this.#isWritable = false;
    }
    return this.#isWritable;
  }

  /** Nothing has to be remembered any more. */
  async forget(): Promise<void> {
    try {
      await this.#file.remove();
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.warn({ reason }, `cannot remove ${this.#file.path}; it does no harm`);
    }
  }

  #complain(reason: string): void {
    const { what, loss } = this.#stakes;
    this.#log.error(
      { reason },
      `cannot remember ${what} in --state-dir ${dirname(this.#file.path)}: all goes on, but ${loss}; make the directory writable`,
    );
  }
}
