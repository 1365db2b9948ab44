import { readFileSync } from 'node:fs';
import * as libc from './libc.js';

const MADV_DONTNEED = 4;

/** A mapping of a file's code in /proc/PID/maps (proc(5)): nobody can have written to it, so the file has it all. */
const CODE = /^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ \S+ +\//gm;

/**
 * Unmaps the code of the runtime and its libraries, most of which only a start needs. What runs comes back from the page cache
 * with its next use, 64 KiB at a time; the rest no longer counts as this process's memory, and the kernel can have it
 * without searching for who maps it.
 */
export function forgetStartupCode(): void {
  for (const [, begin, end] of readFileSync('/proc/self/maps', 'latin1').matchAll(CODE)) {
    const address = Number.parseInt(begin, 16);
    libc.madvise(address, Number.parseInt(end, 16) - address, MADV_DONTNEED);
  }
}
