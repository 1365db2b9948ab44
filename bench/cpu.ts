import { readFileSync } from 'node:fs';
import { isInTree, readProcesses, TICKS_PER_SECOND } from './processes.js';

/**
 * Process id of the parent of all kernel threads. Their time belongs to the programs that cause their work.
 */
const KTHREADD = 2;

/** CPU seconds that a process and its living descendants have used. */
export function cpuSeconds(root: number): number {
  const processes = readProcesses();
  let sum = 0;
  for (const [pid, { own }] of processes) if (isInTree(processes, pid, root)) sum += own;
  return sum;
}

/**
 * Does the work, and counts the CPU seconds that a process and its descendants use meanwhile.
 * @param pid null: there is no process, and the seconds are null
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

/** CPU seconds that other programs used, and that the hypervisor gave to other guests. */
export function foreignCpuSeconds(): number {
  const processes = readProcesses();
  let sum = stolenSeconds();
  for (const [pid, { own, ofChildren }] of processes) {
    if (!isInTree(processes, pid, process.pid) && !isInTree(processes, pid, KTHREADD))
      sum += own + ofChildren;
  }
  return sum;
}

function stolenSeconds(): number {
  const [, , , , , , , , stolen] = readFileSync('/proc/stat', 'latin1').split(/\s+/, 9);
  return Number(stolen) / TICKS_PER_SECOND;
}
