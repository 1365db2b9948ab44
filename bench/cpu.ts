import { readFileSync } from 'node:fs';
import { isInTree, type Processes, readProcesses, TICKS_PER_SECOND } from './processes.js';

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

/** What was used so far by others than the bench. */
export interface ForeignUse {
  readonly processes: Processes;
  /** CPU seconds that the hypervisor gave to other guests. */
  readonly stolen: number;
}

export function readForeignUse(): ForeignUse {
  const all = readProcesses();
  const isForeign = (pid: number) => !isInTree(all, pid, process.pid) && !isInTree(all, pid, KTHREADD);
  return { processes: new Map([...all].filter(([pid]) => isForeign(pid))), stolen: stolenSeconds() };
}

/**
 * CPU seconds that others used between two moments. A process that ended leaves its time to its parent, if
 * the parent waits for it. What it used before the first moment does not count.
 */
export function foreignSeconds(before: ForeignUse, after: ForeignUse): number {
  const inherited = new Map<number, number>();
  for (const [pid, times] of before.processes) {
    if (after.processes.has(pid)) continue;
    const heir = livingAncestor(before.processes, after.processes, times.parent);
    inherited.set(heir, (inherited.get(heir) ?? 0) + times.own + times.ofChildren);
  }
  let sum = after.stolen - before.stolen;
  for (const [pid, { own, ofChildren }] of after.processes) {
    const earlier = before.processes.get(pid);
    const used = own + ofChildren - (earlier === undefined ? 0 : earlier.own + earlier.ofChildren);
    sum += Math.max(0, used - (inherited.get(pid) ?? 0));
  }
  return sum;
}

function livingAncestor(before: Processes, after: Processes, pid: number): number {
  let current = pid;
  while (!after.has(current)) {
    const process = before.get(current);
    if (process === undefined) break;
    current = process.parent;
  }
  return current;
}

function stolenSeconds(): number {
  const [, , , , , , , , stolen] = readFileSync('/proc/stat', 'latin1').split(/\s+/, 9);
  return Number(stolen) / TICKS_PER_SECOND;
}
