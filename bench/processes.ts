import { readdirSync, readFileSync } from 'node:fs';
import { exactly } from '../test/lab/items.js';

/** proc(5): times are counted in clock ticks; Linux has shown 100 a second on every machine for decades. */
export const TICKS_PER_SECOND = 100;

export interface ProcessTimes {
  readonly parent: number;
  /** CPU seconds, user and system. */
  readonly own: number;
  /** Of children that ended. */
  readonly ofChildren: number;
}

export type Processes = ReadonlyMap<number, ProcessTimes>;

/** All processes of the machine by their ids. */
export function readProcesses(): Processes {
  const processes = new Map<number, ProcessTimes>();
  for (const name of readdirSync('/proc')) {
    if (/^\d+$/.test(name)) addTimes(processes, Number(name));
  }
  return processes;
}

function addTimes(processes: Map<number, ProcessTimes>, pid: number): void {
  try {
    // The second field is the program's name in parentheses, which may contain anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    const times = fields.slice(11, 15).map((f) => Number(f) / TICKS_PER_SECOND);
    const [user, system, childUser, childSystem] = exactly(4, times);
    processes.set(pid, {
      parent: Number(fields[1]),
      own: user + system,
      ofChildren: childUser + childSystem,
    });
  } catch {
    // It ended since the directory was read.
  }
}

/** Whether a process is another one or comes from it. */
export function descends(processes: Processes, pid: number, root: number): boolean {
  let current: number | undefined = pid;
  while (current !== undefined && current !== root) current = processes.get(current)?.parent;
  return current === root;
}
