import * as libc from './libc.js';

/**
 * Ends the process at once, as _exit(2). Node's own exit waits for every other thread: for a worker that
 * sleeps in the kernel until somebody wakes it,
 * and for one of the pool that waits for a file that nobody writes.
 */
export function exitNow(code: number): void {
  libc.exit(code);
}
