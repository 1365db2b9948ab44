import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { removeFile, replaceFile } from '../sys/replacefile.js';
import { RedirectError } from './driver.js';

/**
 * Which addresses on the loopback device are ours, kept in `<stateDir>/addresses.json`. It is written before an
 * address is added, so that a killed process leaves nothing that its successor does not know to be ours.
 */
export class AddressRecord {
  private readonly file: string;

  constructor(stateDir: string) {
    this.file = join(stateDir, 'addresses.json');
  }

  /** What an earlier run recorded; empty if there was none. @throws RedirectError if the file is damaged */
  async read(): Promise<Set<string>> {
    let text: string;
    try {
      text = await readFile(this.file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Set();
      throw this.failure('read', error);
    }
    try {
      const { addresses } = JSON.parse(text) as { addresses: string[] };
      return new Set(addresses);
    } catch (error) {
      throw new RedirectError(
        `${this.file} is damaged (${(error as Error).message}); look at "ip addr show dev lo" for leftover addresses, remove them and this file`,
      );
    }
  }

  /** @throws RedirectError if the state directory cannot be written */
  async write(addresses: Iterable<string>): Promise<void> {
    try {
      await replaceFile(this.file, `${JSON.stringify({ addresses: [...addresses] })}\n`);
    } catch (error) {
      throw this.failure('write', error);
    }
  }

  delete(): Promise<void> {
    return removeFile(this.file);
  }

  private failure(verb: string, error: unknown): RedirectError {
    return new RedirectError(
      `cannot ${verb} ${this.file} (${(error as Error).message}); choose a writable directory with --state-dir`,
    );
  }
}
