import { homesAmong } from '../portal/carrier.js';
import { needsOneWorker, type ServicePolicy } from '../portal/policy.js';
import type { Capacity } from './capacity.js';

/** The number of the worker in which a Service's portals listen. Null: in all workers. */
export type Placement = number | null;

/**
 * Decides once for all portals of a Service. With affinity, the same pin key must meet the same worker on
 * every port of the Service: so all its ports must be in all workers, or all in one.
 */
export class Placements {
  readonly #services = new Map<string, { readonly placement: Placement; portals: number }>();
  #turn = 0;
  /** Listeners that all portals will open. New portals choose before the first of them opens. */
  #promised = 0;

  /**
   * @param canSteer whether the kernel can choose a worker by the client's address. False: portals with
   *   affinity listen in one worker.
   * @param mayCarry whether the kernel may carry clients of a Service. All that is known of such clients is
   *   in workers that have queues.
   */
  constructor(
    readonly workers: number,
    readonly canSteer: boolean,
    readonly capacity: Capacity,
    readonly mayCarry: (policy: ServicePolicy) => boolean = () => false,
  ) {}

  join(service: string, policy: ServicePolicy): Placement {
    const needs = this.#needsOf(policy);
    const key = keyOf(service, needs);
    let known = this.#services.get(key);
    if (known === undefined) {
      known = { placement: this.#choose(needs), portals: 0 };
      this.#services.set(key, known);
    }
    known.portals++;
    this.#promised += this.#listenersIn(known.placement);
    return known.placement;
  }

  leave(service: string, policy: ServicePolicy): void {
    const key = keyOf(service, this.#needsOf(policy));
    const known = this.#services.get(key);
    if (known === undefined) return;
    this.#promised -= this.#listenersIn(known.placement);
    if (--known.portals === 0) this.#services.delete(key);
  }

  #listenersIn(placement: Placement): number {
    return placement === null ? this.workers : 1;
  }

  #choose({ where, isCarried }: Needs): Placement {
    if (this.workers === 1) return 0;
    const maySpread = where === 'any worker' || (where === 'steering' && this.canSteer);
    const spread = maySpread && this.capacity.hasRoomInAll(this.workers, this.#promised);
    const candidates = isCarried ? homesAmong(this.workers) : this.workers;
    return spread ? null : this.#turn++ % candidates;
  }

  #needsOf(policy: ServicePolicy): Needs {
    const isCarried = this.mayCarry(policy);
    if (policy.affinity === null && !needsOneWorker(policy)) return { where: 'any worker', isCarried };
    return { where: isCarried || needsOneWorker(policy) ? 'one worker' : 'steering', isCarried };
  }
}

/** What a Service needs so that a client always meets the worker that knows its pin. */
interface Needs {
  /**
   * - `any worker`: there are no pins.
   * - `steering`: the kernel chooses the worker by the client's address.
   * - `one worker`: the kernel cannot choose the worker, see {@link needsOneWorker}. A queue of SYNs has one
   *   worker, too.
   */
  readonly where: 'any worker' | 'steering' | 'one worker';
  readonly isCarried: boolean;
}

/** If the needs of a Service change, its workers are chosen again. */
function keyOf(service: string, { where, isCarried }: Needs): string {
  return `${service} ${where}${isCarried ? ' with a queue' : ''}`;
}
