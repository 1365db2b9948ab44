import {
  type CounterValues,
  createCounterMemory,
  FIELD,
  firstCell,
  PORTAL_IDS,
  REMOVED_PORTALS,
  sumCounters,
  workerCells,
  zeroCounters,
} from './shared/counters.js';

/**
 * Hands out the ids of portals. An id is the index of a portal's counters and of its turn in the round robin,
 * in the memory that the main thread shares with the workers.
 */
export class PortalIds {
  readonly counterMemory: SharedArrayBuffer;
  /** Which endpoint is next, one number for each id. */
  readonly roundRobinMemory = new SharedArrayBuffer(PORTAL_IDS * Int32Array.BYTES_PER_ELEMENT);
  readonly #roundRobin = new Int32Array(this.roundRobinMemory);
  readonly #cells: readonly Float64Array[];
  readonly #free: number[] = [];
  #next = REMOVED_PORTALS + 1;

  constructor(workers: number) {
    const memory = createCounterMemory(workers);
    this.counterMemory = memory;
    this.#cells = Array.from({ length: workers }, (_, index) => workerCells(memory, index));
  }

  /** An id for a new portal, its counters at zero. @throws Error when 65,535 portals exist */
  take(): number {
    const id = this.#free.pop() ?? this.#next++;
    if (id >= PORTAL_IDS) throw new Error(`more than ${PORTAL_IDS - 1} portals`);
    zeroCounters(this.#cells, id);
    Atomics.store(this.#roundRobin, id, 0);
    return id;
  }

  /** Takes back ids under which no worker counts any longer. */
  giveBack(ids: readonly number[]): void {
    for (const id of ids) this.#free.push(id);
  }

  /** What a portal has carried in all workers together. */
  counters(id: number): CounterValues {
    return sumCounters(this.#cells, id);
  }

  /** TCP connections that are open although their portal was removed. */
  get connectionsOfRemoved(): number {
    return this.#connections(REMOVED_PORTALS);
  }

  /** Whether any TCP connection is open. */
  get hasConnections(): boolean {
    for (let id = REMOVED_PORTALS; id < this.#next; id++) if (this.#connections(id) !== 0) return true;
    return false;
  }

  #connections(id: number): number {
    const active = firstCell(id) + FIELD.connectionsActive;
    return this.#cells.reduce((sum, cells) => sum + (cells[active] ?? 0), 0);
  }
}
