import { readFileSync } from 'node:fs';
import { descends, readProcesses } from './processes.js';

/** Bytes of user memory; what the kernel keeps for sockets is not in it. */
export interface Memory {
  /** All that is resident: RSS. */
  readonly resident: number;
  /** What no file is behind, heaps and stacks; pages that forked processes share count once (proc(5), Pss_Anon). */
  readonly anonymous: number;
}

/** What a process and its descendants use together. */
export function memoryOf(root: number): Memory {
  const processes = readProcesses();
  let resident = 0;
  let anonymous = 0;
  for (const pid of processes.keys()) {
    if (!descends(processes, pid, root)) continue;
    const rollup = rollupOf(pid);
    if (rollup === null) continue;
    resident += bytesOf(rollup, 'Rss');
    anonymous += bytesOf(rollup, 'Pss_Anon');
  }
  return { resident, anonymous };
}

/** @returns null where the process has just ended */
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
