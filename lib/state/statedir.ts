import { rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { makeDirectory, removeFile, replaceFile } from '../sys/replacefile.js';

/** A disk in trouble, not a flag that is wrong: it can end while we serve. */
const SHORTAGES: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO']);
/** Permission bits of the group and of others to change what is in a directory. */
const WRITABLE_BY_OTHERS = 0o022;

/** The directory where a killed run leaves what its successor must know. */
export class StateDir {
  private constructor(readonly path: string) {}

  /**
   * Makes the directory if need be and finds out whether it can be written. On a disk that is full or
   * read-only all goes on without memory: Services are worth more than their ports' numbers.
   *
   * @throws Error that names the flag, where it is no directory for us
   */
  static async open(path: string, log: Logger): Promise<StateDir> {
    const probe = join(path, '.probe');
    try {
      await makeDirectory(path);
      await warnOfStrangers(path, log);
      await replaceFile(probe, '');
      await removeFile(probe);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (!SHORTAGES.has(code)) {
        throw new Error(
          `--state-dir ${path} cannot be written (${message}); give a writable directory, on a node usually below /run`,
        );
      }
      log.error(
        { reason: message },
        `--state-dir ${path} cannot be written at present; all goes on without it`,
      );
    }
    return new StateDir(path);
  }

  /** The directory of an earlier run, as it is. */
  static of(path: string): StateDir {
    return new StateDir(path);
  }

  /** Removes the directory once nothing is in it. */
  async removeIfEmpty(): Promise<void> {
    await rmdir(this.path).catch(() => undefined);
  }
}

/** What they write there is checked, but they can also take away what we remember. */
async function warnOfStrangers(path: string, log: Logger): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & WRITABLE_BY_OTHERS) === 0) return;
  log.warn(
    { mode: (mode & 0o7777).toString(8) },
    `others than root may write to --state-dir ${path}; give a directory of its own, or chmod 755`,
  );
}
