import { Balancer, type BalancerContext } from './balancer.js';
import { base, DETACHED, FIELD } from './counters.js';
import type { WorkerPortal } from './messages.js';

/** A portal inside a worker: its balancer and its counters. Connections keep it alive after its removal. */
export class PortalState {
  readonly slot: number;
  readonly key: string;
  readonly isV6: boolean;
  readonly balancer: Balancer;
  readonly #cells: Float64Array;
  #base: number;

  constructor(portal: WorkerPortal, context: BalancerContext, cells: Float64Array) {
    this.slot = portal.slot;
    this.key = portal.key;
    this.isV6 = portal.family === 'IPv6';
    this.balancer = new Balancer(portal.slot, portal.key, portal.service, context);
    this.#cells = cells;
    this.#base = base(portal.slot);
  }

  /** Adds to one of the counters, a value of {@link FIELD}. */
  count(field: number, amount: number): void {
    this.#cells[this.#base + field] += amount;
  }

  /** The portal was removed: its slot will belong to another, so what still runs counts elsewhere. */
  detach(): void {
    const detached = base(DETACHED);
    const active = FIELD.connectionsActive;
    this.#cells[detached + active] += this.#cells[this.#base + active];
    this.#base = detached;
    this.balancer.update([]);
  }
}
