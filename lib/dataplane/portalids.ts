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
 * Hands out the ids of portals. The main thread and the workers share memory for counters and round robins. A
 * portal's id is its index there.
 */
export class PortalIds {
  readonly counterMemory: SharedArrayBuffer;
  /** 32 bits for each id: the turn of the portal's round robin. */
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

  /** An id for a new portal, with its counters at zero. @throws Error if 65,535 portals exist */
  take(): number {
    const id = this.#free.pop() ?? this.#next++;
    if (id >= PORTAL_IDS) throw new Error(`${PORTAL_IDS - 1} portals exist, and no more are possible`);
    zeroCounters(this.#cells, id);
    Atomics.store(this.#roundRobin, id, 0);
    return id;
  }

  /** Takes back ids that no worker uses any more. */
  giveBack(ids: readonly number[]): void {
    for (const id of ids) this.#free.push(id);
  }

  /** What a portal has carried in all workers together. */
  counters(id: number): CounterValues {
    return sumCounters(this.#cells, id);
  }

  /** Open TCP connections of portals that were removed. */
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
