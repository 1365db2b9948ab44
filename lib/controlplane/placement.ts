import type { Capacity } from './capacity.js';

/** The number of the worker in which a Service's portals listen. Null: in all workers. */
export type Placement = number | null;

/**
 * Decides once for all portals of a Service. With affinity, a client must meet the same worker on every port
 * of the Service: so all its ports must be in all workers, or all in one.
 */
export class Placements {
  readonly #services = new Map<string, { readonly placement: Placement; portals: number }>();
  #turn = 0;
  /** Listeners that all portals will open. New portals choose before the first of them opens. */
  #promised = 0;

  /**
   * @param canSteer whether the kernel can choose a worker by the client's address. False: portals with
   * affinity listen in one worker.
   */
  constructor(
    readonly workers: number,
    readonly canSteer: boolean,
    readonly capacity: Capacity,
  ) {}

  join(service: string, hasAffinity: boolean): Placement {
    const key = keyOf(service, hasAffinity);
    let known = this.#services.get(key);
    if (known === undefined) {
      known = { placement: this.#choose(hasAffinity), portals: 0 };
      this.#services.set(key, known);
    }
    known.portals++;
    this.#promised += this.#listenersIn(known.placement);
    return known.placement;
  }

  leave(service: string, hasAffinity: boolean): void {
    const key = keyOf(service, hasAffinity);
    const known = this.#services.get(key);
    if (known === undefined) return;
    this.#promised -= this.#listenersIn(known.placement);
    if (--known.portals === 0) this.#services.delete(key);
  }

  #listenersIn(placement: Placement): number {
    return placement === null ? this.workers : 1;
  }

  #choose(hasAffinity: boolean): Placement {
    if (this.workers === 1) return 0;
    const spread =
      this.capacity.hasRoomInAll(this.workers, this.#promised) && (this.canSteer || !hasAffinity);
    return spread ? null : this.#turn++ % this.workers;
  }
}

/** If a Service turns affinity on or off, its workers are chosen again. */
function keyOf(service: string, hasAffinity: boolean): string {
  return `${service} ${hasAffinity}`;
}
