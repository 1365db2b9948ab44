import type { Capacity } from './capacity.js';

/** In which workers a Service's portals listen: in all of them (null), or in one. */
export type Placement = number | null;

/**
 * Decides once per Service, for all its portals: affinity needs one client to meet one worker on every port,
 * so a Service must not be spread over all workers on one port and kept in one on another.
 */
export class Placements {
  readonly #services = new Map<string, { readonly placement: Placement; portals: number }>();
  #turn = 0;
  /** Listeners that all portals will have open: new ones choose before the first of them opens. */
  #promised = 0;

  /**
   * @param steering whether the kernel can choose a worker by client address;
   * without it affinity needs one worker
   */
  constructor(
    readonly workers: number,
    readonly steering: boolean,
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
      this.capacity.hasRoomInAll(this.workers, this.#promised) && (this.steering || !hasAffinity);
    return spread ? null : this.#turn++ % this.workers;
  }
}

/** Turning affinity on or off is a new decision. */
function keyOf(service: string, hasAffinity: boolean): string {
  return `${service} ${hasAffinity}`;
}
