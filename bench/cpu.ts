import { readdirSync, readFileSync } from 'node:fs';

/** proc(5): utime and stime count clock ticks; Linux has shown 100 a second on every machine for decades. */
const TICKS_PER_SECOND = 100;

interface ProcessTimes {
  readonly parent: number;
  readonly seconds: number;
}

/** CPU seconds, user and system, that a process and its living descendants have used. */
export function cpuSeconds(root: number): number {
  const processes = new Map<number, ProcessTimes>();
  for (const name of readdirSync('/proc')) {
    if (/^\d+$/.test(name)) addTimes(processes, Number(name));
  }
  let sum = 0;
  for (const pid of processes.keys())
    if (descends(processes, pid, root)) sum += processes.get(pid)?.seconds ?? 0;
  return sum;
}

function addTimes(processes: Map<number, ProcessTimes>, pid: number): void {
  try {
    // The second field is the program's name in parentheses, which may contain anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    const seconds = (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
    processes.set(pid, { parent: Number(fields[1]), seconds });
  } catch {
    // It ended since the directory was read.
  }
}

function descends(processes: ReadonlyMap<number, ProcessTimes>, pid: number, root: number): boolean {
  let current: number | undefined = pid;
  while (current !== undefined && current !== root) current = processes.get(current)?.parent;
  return current === root;
}
