import * as libc from './libc.js';

/** <malloc.h>, the same on every machine. */
const M_TRIM_THRESHOLD = -1;
const M_MMAP_THRESHOLD = -3;
const M_ARENA_MAX = -8;

/** glibc's own first values of the two thresholds, bytes. */
const THRESHOLD = 128 * 1024;

/**
 * Makes malloc give free memory back to the kernel. glibc keeps a heap for every thread that meets a lock,
 * and raises both thresholds to the size of the largest block that was ever freed, so that the text of one
 * big manifest would stay. Setting a threshold ends that (mallopt(3)). Other C libraries do without.
 */
export function keepMallocSmall(): void {
  libc.mallopt?.(M_ARENA_MAX, 2);
  libc.mallopt?.(M_MMAP_THRESHOLD, THRESHOLD);
  libc.mallopt?.(M_TRIM_THRESHOLD, THRESHOLD);
}
