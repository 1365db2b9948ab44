import { existsSync, readFileSync } from 'node:fs';
import * as libc from './libc.js';

const MADV_DONTNEED = 4;
/**
 * One entry for each mapping (proc_pid_smaps(5)); kernels without CONFIG_PROC_PAGE_MONITOR have no such file.
 */
const MAPPINGS = '/proc/self/smaps';
const NEXT_MAPPING = /^(?=[0-9a-f]+-)/m;
/**
 * A mapping of a file that cannot be written to and never was, so that the file has it all. What the dynamic
 * linker has relocated is read-only as well, and nowhere but in its pages.
 */
const PRISTINE = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \S+ +\/.*^Anonymous: +0 kB$.*^Swap: +0 kB$/ms;

/**
 * Unmaps the code and the constants of the runtime and its libraries, most of which only a start needs. What
 * is used comes back from the page cache, 64 KiB at a time; the rest no longer counts as this process's
 * memory, and the kernel can have it without searching for who maps it.
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
