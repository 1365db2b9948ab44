import {
  createPinCellMemory,
  EVICTED_CELL,
  FIRST_ENDPOINT_CELL,
  PIN_CELLS,
  TOTAL_CELL,
} from './shared/pincells.js';
import type { PinCount, PinCounts } from './shared/pins.js';

/** An endpoint of a Service with affinity. */
interface CountedEndpoint {
  readonly service: string;
  readonly id: string;
  readonly cell: number | null;
  /** How many portals have it. */
  portals: number;
}

/** What the allocation needs of a portal. */
export interface PinnedPortal {
  readonly id: number;
  readonly service: string;
  readonly endpoints: readonly { readonly id: string }[];
  readonly policy: { readonly affinity: unknown };
}

/** Hands out the cells in which the workers count the pins of each endpoint. */
export class PinCells implements PinCounts {
  readonly memory = createPinCellMemory();
  readonly #cells = new Int32Array(this.memory);
  readonly #endpoints = new Map<string, CountedEndpoint>();
  /** By portal id. */
  readonly #ofPortal = new Map<number, readonly CountedEndpoint[]>();
  readonly #free: number[] = [];
  #next = FIRST_ENDPOINT_CELL;

  /**
   * Gives the endpoints of portals their cells, by portal id; portals without affinity have none.
   * @returns the cells, and what to call when the workers have made the change: cells that nobody has any
   * longer are then free for other endpoints
   */
  change(
    set: readonly PinnedPortal[],
    remove: readonly number[],
  ): { readonly cells: ReadonlyMap<number, readonly (number | null)[]>; settle(): void } {
    const cells = new Map<number, readonly (number | null)[]>();
    const left = [...set.map(({ id }) => id), ...remove].flatMap((id) => this.#ofPortal.get(id) ?? []);
    for (const id of remove) this.#ofPortal.delete(id);
    for (const { id, service, endpoints, policy } of set) {
      this.#ofPortal.delete(id);
      if (policy.affinity === null) continue;
      const counted = endpoints.map((endpoint) => this.#enter(service, endpoint.id));
      this.#ofPortal.set(id, counted);
      cells.set(
        id,
        counted.map(({ cell }) => cell),
      );
    }
    // After the additions: what stays keeps its cell.
    const freed = left.flatMap((endpoint) => this.#leave(endpoint));
    return { cells, settle: () => this.#free.push(...freed) };
  }

  *counts(): Iterable<PinCount> {
    for (const { service, id, cell } of this.#endpoints.values()) {
      const pins = cell === null ? 0 : Atomics.load(this.#cells, cell);
      if (pins > 0) yield { service, endpoint: id, pins };
    }
  }

  get total(): number {
    return Atomics.load(this.#cells, TOTAL_CELL);
  }

  get evicted(): number {
    return Atomics.load(this.#cells, EVICTED_CELL);
  }

  #enter(service: string, id: string): CountedEndpoint {
    const key = `${service} ${id}`;
    const known = this.#endpoints.get(key);
    if (known !== undefined) {
      known.portals++;
      return known;
    }
    const endpoint = { service, id, cell: this.#takeCell(), portals: 1 };
    this.#endpoints.set(key, endpoint);
    return endpoint;
  }

  /** @returns the cell that nobody has any longer, if any */
  #leave(endpoint: CountedEndpoint): number | [] {
    if (--endpoint.portals > 0) return [];
    this.#endpoints.delete(`${endpoint.service} ${endpoint.id}`);
    return endpoint.cell ?? [];
  }

  #takeCell(): number | null {
    return this.#free.pop() ?? (this.#next < PIN_CELLS ? this.#next++ : null);
  }
}
