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
    const known = this.#services.get(key);
    if (known !== undefined) {
      known.portals++;
      return known.placement;
    }
    const placement = this.#choose(hasAffinity);
    this.#services.set(key, { placement, portals: 1 });
    return placement;
  }

  leave(service: string, hasAffinity: boolean): void {
    const key = keyOf(service, hasAffinity);
    const known = this.#services.get(key);
    if (known !== undefined && --known.portals === 0) this.#services.delete(key);
  }

  #choose(hasAffinity: boolean): Placement {
    if (this.workers === 1) return 0;
    const spread = this.capacity.hasRoomInAll(this.workers) && (this.steering || !hasAffinity);
    return spread ? null : this.#turn++ % this.workers;
  }
}

/** Turning affinity on or off is a new decision. */
function keyOf(service: string, hasAffinity: boolean): string {
  return `${service} ${hasAffinity}`;
}
