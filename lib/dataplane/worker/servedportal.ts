import { isDeepStrictEqual } from 'node:util';
import { type Admission, EVERYONE } from '../../portal/admission.js';
import { DEFAULT_POLICY } from '../../portal/policy.js';
import { FIELD, firstCell, REMOVED_PORTALS } from '../shared/counters.js';
import type { WorkerPortal } from '../shared/messages.js';
import { Balancer, type BalancerContext } from './balancer.js';
import type { PinKey } from './pinkey.js';
import { AddressRanges } from './ranges.js';
import type { Target } from './target.js';

/** A portal inside a worker: its balancer and its counters. Connections keep it alive after its removal. */
export class ServedPortal {
  /** For log lines; a renamed port gets another. */
  key: string;
  readonly isV6: boolean;
  readonly balancer: Balancer;
  #admission: Admission<number> = EVERYONE;
  #sources: AddressRanges | null = null;
  #insiders: { readonly ranges: AddressRanges; readonly portal: ServedPortal } | null = null;
  readonly #cells: Float64Array;
  #firstCell: number;

  constructor(portal: WorkerPortal, context: BalancerContext, cells: Float64Array) {
    this.key = portal.key;
    this.isV6 = portal.family === 'IPv6';
    this.balancer = new Balancer(portal.id, portal.key, portal.service, context);
    this.#cells = cells;
    this.#firstCell = firstCell(portal.id);
  }

  /** Takes a new version. Who may come is told by {@link admit}, once all portals of a change are there. */
  update(portal: WorkerPortal): void {
    this.key = portal.key;
    this.balancer.update(portal);
  }

  /** Adds to one of the counters, a value of {@link FIELD}. */
  count(field: number, amount: number): void {
    this.#cells[this.#firstCell + field] += amount;
  }

  /**
   * Counts an endpoint's failure, and drops the pins to it that have this key.
   * @param isForAll whether it would meet all others too: new clients then avoid the endpoint for a while
   */
  blame(target: Target, key: PinKey | null, isForAll = true): void {
    this.count(FIELD.connectFailures, 1);
    if (isForAll) this.balancer.avoid(target);
    if (key !== null && this.balancer.unpin(key, target)) this.count(FIELD.pinsMoved, 1);
  }

  /**
   * Who may come here, and who is sent to another portal.
   * @param portalIn finds a portal by its id
   * @returns whether that changed
   */
  admit(admission: Admission<number>, portalIn: (id: number) => ServedPortal | undefined): boolean {
    const { sources, insiders } = admission;
    const portal = insiders === null ? undefined : portalIn(insiders.portal);
    if (isDeepStrictEqual(admission, this.#admission) && portal === this.#insiders?.portal) return false;
    this.#admission = admission;
    this.#sources = sources === null ? null : new AddressRanges(sources, this.isV6);
    this.#insiders =
      insiders === null || portal === undefined
        ? null
        : { portal, ranges: new AddressRanges(insiders.sources, this.isV6) };
    return true;
  }

  /**
   * The portal that serves a client: this one, or the one for clients inside the cluster.
   * @param at the word of `sockaddr` where the client's address begins
   * @returns null where the client may not come here
   */
  forClient(sockaddr: Int32Array, at: number): ServedPortal | null {
    if (this.#sources !== null && !this.#sources.has(sockaddr, at)) return null;
    return this.#insiders?.ranges.has(sockaddr, at) ? this.#insiders.portal : this;
  }

  /** The portal was removed: its id will belong to another, so what still runs counts elsewhere. */
  detach(): void {
    const removed = firstCell(REMOVED_PORTALS);
    const active = FIELD.connectionsActive;
    this.#cells[removed + active] += this.#cells[this.#firstCell + active];
    this.#firstCell = removed;
    this.balancer.update({ endpoints: [], policy: DEFAULT_POLICY });
  }
}
