import type { PortalName } from '../../portal/status.js';

/**
 * Counters in shared memory: each worker writes its own cells without locks, the main thread adds them up when
 * somebody asks. Cells are doubles, exact to 2^53.
 */

/** What is counted per portal; the order is the memory order. */
export const COUNTER_FIELDS = [
  'connectionsTotal',
  'connectionsActive',
  'connectionsRefused',
  'connectionsEvicted',
  'connectFailures',
  'connectionResets',
  'flowsTotal',
  'flowsActive',
  'flowsEvicted',
  'flowsMoved',
  'datagramsIn',
  'datagramsOut',
  'datagramsDropped',
  'bytesIn',
  'bytesOut',
  'pinsMoved',
] as const;

export type CounterField = (typeof COUNTER_FIELDS)[number];
export type CounterValues = Record<CounterField, number>;

/** What one portal has carried since it was made. */
export interface PortalCounters extends Readonly<CounterValues>, PortalName {}

/** Offset of each field from a portal's base cell. */
export const FIELD = Object.fromEntries(COUNTER_FIELDS.map((name, index) => [name, index])) as Readonly<
  Record<CounterField, number>
>;

/** Portals that can exist at once, slot 0 being the {@link DETACHED} one. Unused slots cost no memory: their pages are never touched. */
export const MAX_PORTALS = 65536;

/** The slot that connections count on after their portal was removed. */
export const DETACHED = 0;

const WIDTH = COUNTER_FIELDS.length;
const WORKER_CELLS = MAX_PORTALS * WIDTH;

export function createCounterMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * WORKER_CELLS * 8);
}

/** One worker's cells: `cells[base(slot) + FIELD.x] += 1`. */
export function workerCells(memory: SharedArrayBuffer, worker: number): Float64Array {
  return new Float64Array(memory, worker * WORKER_CELLS * 8, WORKER_CELLS);
}

export function base(slot: number): number {
  return slot * WIDTH;
}

/** The sum of a portal's counters over all workers. */
export function sumCounters(workers: readonly Float64Array[], slot: number): CounterValues {
  const at = base(slot);
  const sums = {} as CounterValues;
  for (const name of COUNTER_FIELDS) {
    sums[name] = 0;
    for (const cells of workers) sums[name] += cells[at + FIELD[name]] ?? 0;
  }
  return sums;
}

/** Makes a slot ready for another portal. */
export function zeroSlot(workers: readonly Float64Array[], slot: number): void {
  for (const cells of workers) cells.fill(0, base(slot), base(slot + 1));
}
