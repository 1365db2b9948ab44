import { rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { makeDirectory, removeFile, replaceFile } from '../sys/replacefile.js';

/** Errors of the disk. They can end while kube-portal serves, so they do not stop it. */
const SHORTAGES: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO']);
/** Permission bits: the group and other users may change the files in a directory. */
const WRITABLE_BY_OTHERS = 0o022;

/** The directory with the state that the next run needs, also after this run was killed. */
export class StateDir {
  private constructor(readonly path: string) {}

  /**
   * Makes the directory if it is missing, and checks that it can be written. If the disk is full or
   * read-only, kube-portal serves without saved state: Services are more important than the numbers of their
   * proxy ports.
   *
   * @throws Error that names the flag, if the directory cannot be used
   */
  static async open(path: string, log: Logger): Promise<StateDir> {
    const probe = join(path, '.probe');
    try {
      await makeDirectory(path);
      await warnIfOthersMayWrite(path, log);
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
        `--state-dir ${path} cannot be written now; kube-portal serves without saved state`,
      );
    }
    return new StateDir(path);
  }

  /** The directory of an earlier run. It is neither made nor checked. */
  static of(path: string): StateDir {
    return new StateDir(path);
  }

  /** Removes the directory if it is empty. */
  async removeIfEmpty(): Promise<void> {
    await rmdir(this.path).catch(() => undefined);
  }
}

/**
 * The content of the files is checked. But other users can also remove the files, and their content is then
 * lost.
 */
async function warnIfOthersMayWrite(path: string, log: Logger): Promise<void> {
  const { mode } = await stat(path);
  if ((mode & WRITABLE_BY_OTHERS) === 0) return;
  log.warn(
    { mode: (mode & 0o7777).toString(8) },
    `users other than root may write to --state-dir ${path}; give a directory that only root may change, or run chmod 755 on it`,
  );
}
