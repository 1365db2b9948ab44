import { existsSync, readFileSync } from 'node:fs';
import * as libc from './libc.js';

const MADV_DONTNEED = 4;
/**
 * One entry for each mapping (proc_pid_smaps(5)). Kernels without CONFIG_PROC_PAGE_MONITOR do not have this
 * file.
 */
const MAPPINGS = '/proc/self/smaps';
const NEXT_MAPPING = /^(?=[0-9a-f]+-)/m;
/**
 * A read-only mapping of a file. Its pages were never changed, so the file has the same content. Pages that
 * the dynamic linker relocated are read-only too, but they exist in memory only and must stay.
 */
const PRISTINE = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \S+ +\/.*^Anonymous: +0 kB$.*^Swap: +0 kB$/ms;

/**
 * Unmaps the code and the constants of the runtime and its libraries. Most of them are needed at the start
 * only. Pages that are used again come back from the page cache, 64 KiB at a time. The others no longer count
 * as memory of this process, and the kernel can free them without looking for the processes that map them.
 */
export function forgetStartupCode(): void {
  if (!existsSync(MAPPINGS)) return;
  for (const mapping of readFileSync(MAPPINGS, 'latin1').split(NEXT_MAPPING)) {
    const [, begin, end] = PRISTINE.exec(mapping) ?? [];
    if (begin === undefined || end === undefined) continue;
    const address = Number.parseInt(begin, 16);
    libc.madvise(address, Number.parseInt(end, 16) - address, MADV_DONTNEED);
  }
}
