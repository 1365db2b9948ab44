import { mkdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { removeFile, replaceFile } from '../sys/replacefile.js';

/** The proxy port of each portal. */
export const PORTS_FILE = 'ports.json';

/** The directory where a killed run leaves what its successor must know. */
export class StateDir {
  private constructor(readonly path: string) {}

  /** Makes the directory if need be and proves that it can be written. @throws Error that names the flag */
  static async open(path: string): Promise<StateDir> {
    const probe = join(path, '.probe');
    try {
      await mkdir(path, { recursive: true, mode: 0o755 });
      await writeFile(probe, '');
      await rm(probe);
      return new StateDir(path);
    } catch (error) {
      throw new Error(
        `--state-dir ${path} cannot be written (${(error as Error).message}); give a writable directory, on a node usually below /run`,
      );
    }
  }

  /** The directory of an earlier run, as it is. */
  static of(path: string): StateDir {
    return new StateDir(path);
  }

  /** @returns null where the file does not exist or is damaged; what it said can be found out again */
  async read(name: string): Promise<unknown> {
    try {
      return JSON.parse(await readFile(join(this.path, name), 'utf8'));
    } catch {
      return null;
    }
  }

  /** Replaces a file in one step: after a crash it is the old one or the new one. */
  async write(name: string, value: unknown): Promise<void> {
    await replaceFile(join(this.path, name), `${JSON.stringify(value)}\n`);
  }

  /** Removes a file, and the directory once nothing else is in it. */
  async remove(name: string): Promise<void> {
    await removeFile(join(this.path, name));
    await this.removeIfEmpty();
  }

  async removeIfEmpty(): Promise<void> {
    await rmdir(this.path).catch(() => undefined);
  }
}
