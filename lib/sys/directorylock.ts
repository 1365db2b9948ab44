import { closeSync, constants, openSync } from 'node:fs';
import { EAGAIN, errno } from './errno.js';
import * as libc from './libc.js';

/** Operations of flock(2), the same on every architecture. */
const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Takes a directory for one process, by flock(2) on the directory itself. The kernel releases the lock when
 * the process ends, also after a SIGKILL, so there is no stale lock.
 *
 * @returns the descriptor, or null if another process holds the lock; closing the descriptor releases the
 *   lock. Some network file systems have no locks. The directory then counts as taken by this process.
 * @throws NodeJS.ErrnoException if the directory cannot be opened
 */
export function takeDirectory(path: string): number | null {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0 || errno() !== EAGAIN) return fd;
  closeSync(fd);
  return null;
}
