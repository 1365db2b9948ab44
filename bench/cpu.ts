import { readFileSync } from 'node:fs';
import { descends, readProcesses, TICKS_PER_SECOND } from './processes.js';

/** Parent of all kernel threads, whose time belongs to whoever made the work. */
const KTHREADD = 2;

/** CPU seconds that a process and its living descendants have used. */
export function cpuSeconds(root: number): number {
  const processes = readProcesses();
  let sum = 0;
  for (const [pid, { own }] of processes) if (descends(processes, pid, root)) sum += own;
  return sum;
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
