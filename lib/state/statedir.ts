import { closeSync } from 'node:fs';
import { rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { takeDirectory } from '../sys/directorylock.js';
import { makeDirectory, removeFile, replaceFile } from '../sys/replacefile.js';

/** Errors of the disk. They can end while kube-portal serves, so they do not stop it. */
const SHORTAGES: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO']);
/** Permission bits: the group and other users may change the files in a directory. */
const WRITABLE_BY_OTHERS = 0o022;
/**
 * Tries to take the directory, and milliseconds between two of them. A process that was killed keeps its lock
 * until the kernel has closed all its descriptors.
 */
const LOCK_TRIES = 40;
const LOCK_PAUSE_MS = 50;

/**
 * The directory with the state that the next run needs, also after this run was killed. One process at a time
 * has it. The lock of the node is no substitute: each network namespace has its own.
 */
export class StateDir {
  #lock: number | null = null;

  private constructor(readonly path: string) {}

  /**
   * Makes the directory if it is missing, checks that it can be written, and takes it for this process. If
   * the disk is full or read-only, kube-portal serves without saved state: Services are more important than
   * the numbers of their proxy ports.
   *
   * @throws Error that names the flag, if the directory cannot be used
   */
  static async open(path: string, log: Logger): Promise<StateDir> {
    const state = new StateDir(path);
    if (await makeWritable(path, log)) await state.#take();
    return state;
  }

  async #take(): Promise<void> {
    for (let tries = 0; tries < LOCK_TRIES; tries++) {
      this.#lock = takeDirectory(this.path);
      if (this.#lock !== null) return;
      await sleep(LOCK_PAUSE_MS);
    }
    throw new Error(
      `--state-dir ${this.path} is in use by another kube-portal; stop it, or give each its own directory`,
    );
  }

  /** The directory of an earlier run. It is neither made nor checked. */
  static of(path: string): StateDir {
    return new StateDir(path);
  }

  /** Leaves the directory to another process. */
  release(): void {
    if (this.#lock !== null) closeSync(this.#lock);
    this.#lock = null;
  }

  /** Removes the directory if it is empty. */
  async removeIfEmpty(): Promise<void> {
    await rmdir(this.path).catch(() => undefined);
  }
}

/**
 * @returns false if the disk is full or read-only now
 * @throws Error that names the flag, for any other reason
 */
async function makeWritable(path: string, log: Logger): Promise<boolean> {
  const probe = join(path, '.probe');
  try {
    await makeDirectory(path);
    await warnIfOthersMayWrite(path, log);
    await replaceFile(probe, '');
    await removeFile(probe);
    return true;
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
    return false;
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
