import * as libc from './libc.js';

/** <malloc.h>, the same on every machine. */
const M_TRIM_THRESHOLD = -1;
const M_MMAP_THRESHOLD = -3;
const M_ARENA_MAX = -8;

/** Bytes. The initial value of both thresholds in glibc. */
const THRESHOLD = 128 * 1024;

/**
 * Makes malloc give free memory back to the kernel. glibc makes one more heap when threads wait for the same
 * heap, and it raises both thresholds when a large block is freed. So the memory of one big manifest would
 * stay in the process. Once a threshold is set, glibc no longer changes it (mallopt(3)). With other C
 * libraries this does nothing.
 */
export function keepMallocSmall(): void {
  libc.mallopt?.(M_ARENA_MAX, 2);
  libc.mallopt?.(M_MMAP_THRESHOLD, THRESHOLD);
  libc.mallopt?.(M_TRIM_THRESHOLD, THRESHOLD);
}
