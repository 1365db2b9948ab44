import { readdirSync, readFileSync } from 'node:fs';
import { exactly } from '../test/lab/items.js';

/** Unit of the times in proc(5). It is 100 on every machine that Linux runs on. */
export const TICKS_PER_SECOND = 100;

export interface ProcessTimes {
  readonly parent: number;
  /** CPU seconds, user and system. */
  readonly own: number;
  /** CPU seconds of children that have ended. */
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
    // The second field is the name of the program in parentheses. It may contain any character.
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
    // The process ended after the directory was read.
  }
}

/** Whether `pid` is `root` or a descendant of it. */
export function isInTree(processes: Processes, pid: number, root: number): boolean {
  let current: number | undefined = pid;
  while (current !== undefined && current !== root) current = processes.get(current)?.parent;
  return current === root;
}
