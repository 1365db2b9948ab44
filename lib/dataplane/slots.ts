import {
  base,
  type CounterValues,
  createCounterMemory,
  FIELD,
  MAX_SLOTS,
  REMOVED,
  sumCounters,
  workerCells,
  zeroSlot,
} from './shared/counters.js';

/**
 * The portals' places in the memory that the main thread shares with the workers. A slot is the index of a
 * portal's counters and of its turn in the round robin.
 */
export class Slots {
  readonly counterMemory: SharedArrayBuffer;
  /** One number for each slot: whose turn it is. */
  readonly roundRobinMemory = new SharedArrayBuffer(MAX_SLOTS * Int32Array.BYTES_PER_ELEMENT);
  readonly #roundRobin = new Int32Array(this.roundRobinMemory);
  readonly #cells: readonly Float64Array[];
  readonly #free: number[] = [];
  #next = REMOVED + 1;

  constructor(workers: number) {
    const memory = createCounterMemory(workers);
    this.counterMemory = memory;
    this.#cells = Array.from({ length: workers }, (_, index) => workerCells(memory, index));
  }

  /** A slot for a new portal, its counters at zero. @throws Error when 65,535 portals exist */
  take(): number {
    const slot = this.#free.pop() ?? this.#next++;
    if (slot >= MAX_SLOTS) throw new Error(`more than ${MAX_SLOTS - 1} portals`);
    zeroSlot(this.#cells, slot);
    Atomics.store(this.#roundRobin, slot, 0);
    return slot;
  }

  /** Takes back slots that no worker counts in any more. */
  giveBack(slots: readonly number[]): void {
    for (const slot of slots) this.#free.push(slot);
  }

  /** What a portal has carried in all workers together. */
  counters(slot: number): CounterValues {
    return sumCounters(this.#cells, slot);
  }

  /** TCP connections that are open although their portal was removed. */
  get connectionsOfRemoved(): number {
    return this.#connections(REMOVED);
  }

  /** Whether any TCP connection is open. */
  get hasConnections(): boolean {
    for (let slot = REMOVED; slot < this.#next; slot++) if (this.#connections(slot) !== 0) return true;
    return false;
  }

  #connections(slot: number): number {
    const active = base(slot) + FIELD.connectionsActive;
    return this.#cells.reduce((sum, cells) => sum + (cells[active] ?? 0), 0);
  }
}
