import * as libc from './libc.js';

/**
 * Ends the process at once with _exit(2). Node's own exit waits for every other thread. It would wait without
 * end for a worker that sleeps in the kernel, or for a thread of the pool that reads a FIFO without a writer.
 */
export function exitNow(code: number): void {
  libc.exit(code);
}
