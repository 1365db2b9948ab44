import { readFileSync } from 'node:fs';
import { isInTree, readProcesses } from './processes.js';

/** Bytes of user memory. The kernel's memory for sockets is not counted. */
export interface Memory {
  /** Resident pages (RSS). */
  readonly resident: number;
  /** Heaps and stacks. A page that forked processes share counts once (proc(5), Pss_Anon). */
  readonly anonymous: number;
}

/** The memory of a process and its descendants together. */
export function memoryOf(root: number): Memory {
  const processes = readProcesses();
  let resident = 0;
  let anonymous = 0;
  for (const pid of processes.keys()) {
    if (!isInTree(processes, pid, root)) continue;
    const rollup = rollupOf(pid);
    if (rollup === null) continue;
    resident += bytesOf(rollup, 'Rss');
    anonymous += bytesOf(rollup, 'Pss_Anon');
  }
  return { resident, anonymous };
}

/** @returns null if the process has just ended */
function rollupOf(pid: number): string | null {
  try {
    return readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return null;
    throw error;
  }
}

function bytesOf(rollup: string, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup);
  if (match === null) throw new Error(`/proc/*/smaps_rollup has no ${field}; Linux 5.4 has it`);
  return Number(match[1]) * 1024;
}
