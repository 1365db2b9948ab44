import { readdirSync, readFileSync } from 'node:fs';

/** proc(5): times are counted in clock ticks; Linux has shown 100 a second on every machine for decades. */
const TICKS_PER_SECOND = 100;
/** Parent of all kernel threads, whose time belongs to whoever made the work. */
const KTHREADD = 2;

interface ProcessTimes {
  readonly parent: number;
  /** CPU seconds, user and system. */
  readonly own: number;
  /** Of children that ended. */
  readonly ofChildren: number;
}

/** CPU seconds that a process and its living descendants have used. */
export function cpuSeconds(root: number): number {
  const processes = readProcesses();
  let sum = 0;
  for (const [pid, { own }] of processes) if (descends(processes, pid, root)) sum += own;
  return sum;
}

/** CPU seconds that programs have used which this process did not start, and what the hypervisor gave to others. */
export function foreignCpuSeconds(): number {
  const processes = readProcesses();
  let sum = stolenSeconds();
  for (const [pid, { own, ofChildren }] of processes) {
    if (!descends(processes, pid, process.pid) && !descends(processes, pid, KTHREADD))
      sum += own + ofChildren;
  }
  return sum;
}

function stolenSeconds(): number {
  const [, , , , , , , , stolen] = readFileSync('/proc/stat', 'latin1').split(/\s+/, 9);
  return Number(stolen) / TICKS_PER_SECOND;
}

function readProcesses(): Map<number, ProcessTimes> {
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
    const [user, system, childUser, childSystem] = fields
      .slice(11, 15)
      .map((f) => Number(f) / TICKS_PER_SECOND);
    processes.set(pid, {
      parent: Number(fields[1]),
      own: user + system,
      ofChildren: childUser + childSystem,
    });
  } catch {
    // It ended since the directory was read.
  }
}

function descends(processes: ReadonlyMap<number, ProcessTimes>, pid: number, root: number): boolean {
  let current: number | undefined = pid;
  while (current !== undefined && current !== root) current = processes.get(current)?.parent;
  return current === root;
}

/**
 * Does something and tells what it cost a process and its descendants.
 * @param pid null where there is no process to ask; the seconds are null then
 */
export async function cpuOf<Result>(
  pid: number | null,
  work: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly seconds: number | null }> {
  if (pid === null) return { result: await work(), seconds: null };
  const before = cpuSeconds(pid);
  const result = await work();
  return { result, seconds: cpuSeconds(pid) - before };
}
