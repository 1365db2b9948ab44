import { isDeepStrictEqual } from 'node:util';
import { type Admission, EVERYONE } from '../../portal/admission.js';
import { DEFAULT_POLICY, type ServicePolicy, speaksRtps } from '../../portal/policy.js';
import type { Carriage } from '../shared/carrier.js';
import { FIELD, firstCell, REMOVED_PORTALS } from '../shared/counters.js';
import type { WorkerPortal } from '../shared/messages.js';
import { Balancer, type BalancerContext } from './balancer.js';
import { CarriedPortal } from './kernel/carriedportal.js';
import type { PinKey } from './pinkey.js';
import { AddressRanges } from './ranges.js';
import type { Target } from './target.js';
import { type RoutingContext, RtpsRouter, type Spreading } from './udp/rtps/router.js';

/** What the portals of one worker share. */
export interface PortalContext extends BalancerContext {
  readonly routing: RoutingContext;
}

/** A portal in a worker: balancer, counters, admission. Its connections outlive its removal. */
export class ServedPortal {
  /** For log lines. It changes when the port is renamed. */
  key: string;
  readonly isV6: boolean;
  readonly balancer: Balancer;
  /** Whether the datagrams of its clients are looked into, see {@link speaksRtps}. */
  isRtps = false;
  /** What the kernel may carry. Null: all clients are relayed. */
  carried: CarriedPortal | null = null;
  /** The proxy port to which netfilter redirects its clients. Null if it does not. */
  redirectedPort: number | null = null;
  /** Whether the last version has endpoints that the one before did not have. */
  hasNewEndpoints = false;
  readonly #protocol: WorkerPortal['protocol'];
  readonly #routing: RoutingContext;
  #router: RtpsRouter | null = null;
  #admission: Admission<number> = EVERYONE;
  #sources: AddressRanges | null = null;
  #insiders: { readonly ranges: AddressRanges; readonly portal: ServedPortal } | null = null;
  readonly #cells: Float64Array;
  #firstCell: number;

  constructor(portal: WorkerPortal, context: PortalContext, cells: Float64Array) {
    this.key = portal.key;
    this.isV6 = portal.family === 'IPv6';
    this.balancer = new Balancer(portal.id, portal.key, portal.service, context);
    this.#protocol = portal.protocol;
    this.#routing = context.routing;
    this.#cells = cells;
    this.#firstCell = firstCell(portal.id);
  }

  /** Takes a new version, without its admission: {@link admit} needs all portals of the change. */
  update(portal: WorkerPortal): void {
    this.key = portal.key;
    this.isRtps = speaksRtps(portal.policy);
    this.#setSpreading(spreadingOf(portal.policy));
    this.#setCarriage(portal.carriage);
    this.hasNewEndpoints = this.balancer.update(portal);
  }

  /** Says where each datagram goes; null where those of a client all go to one endpoint: nearly always. */
  get router(): RtpsRouter | null {
    return this.#router;
  }

  /** The endpoint for a new client; see {@link Balancer.pick}. */
  pick(key: PinKey | null): Target | null {
    return this.#router?.everyone ?? this.balancer.pick(key);
  }

  /** Adds to a counter. @param field a value of {@link FIELD} */
  count(field: number, amount: number): void {
    this.#cells[this.#firstCell + field] += amount;
  }

  /**
   * Counts an endpoint's failure, and drops the pins of this key to the endpoint.
   * @param reason of the failure, for people
   * @param isForAll whether the endpoint fails for all clients: then new clients avoid it for a while
   */
  blame(target: Target, reason: string, key: PinKey | null, isForAll = true): void {
    this.count(FIELD.connectFailures, 1);
    target.counts.fail(reason, this.balancer.context.now());
    if (isForAll) this.balancer.rotation.avoid(target);
    if (key !== null && this.balancer.unpin(key, target)) this.count(FIELD.pinsMoved, 1);
  }

  /** Counts that a UDP flow goes from one endpoint to another. */
  countMove(from: Target, to: Target): void {
    this.count(FIELD.flowsMoved, 1);
    from.counts.moveTo(to.counts);
  }

  /**
   * Sets who may use this portal, and which clients go to another portal.
   * @param portalOf finds a portal by its id
   * @returns whether this changes anything
   */
  admit(admission: Admission<number>, portalOf: (id: number) => ServedPortal | undefined): boolean {
    const { sources, insiders } = admission;
    const portal = insiders === null ? undefined : portalOf(insiders.portal);
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
   * The portal that serves a client: this one, or the portal for clients inside the cluster.
   * @param at the word of `sockaddr` where the client's address begins
   * @returns null if the client may not use this portal
   */
  forClient(sockaddr: Int32Array, at: number): ServedPortal | null {
    if (this.#sources !== null && !this.#sources.has(sockaddr, at)) return null;
    return this.#insiders?.ranges.has(sockaddr, at) ? this.#insiders.portal : this;
  }

  /** The portal was removed. Its id goes to another portal, so its open connections get another counter. */
  detach(): void {
    const removed = firstCell(REMOVED_PORTALS);
    const active = FIELD.connectionsActive;
    this.#cells[removed + active] += this.#cells[this.#firstCell + active];
    this.#firstCell = removed;
    this.#setSpreading(null);
    this.#setCarriage(null);
    this.#removeTargets();
  }

  #setCarriage(carriage: Carriage | null): void {
    if (carriage === null) {
      this.carried = null;
      return;
    }
    this.carried ??= new CarriedPortal(this.balancer.rotation, this.isV6);
    this.carried.vips = carriage.vips;
    this.carried.isHome = carriage.isHome;
  }

  /** The flows of a portal that begins or ceases to spread have to go on with another target. */
  #setSpreading(spreading: Spreading | null): void {
    if (this.#protocol !== 'UDP' || spreading === (this.#router?.spreading ?? null)) return;
    if (this.#router !== null && spreading !== null) {
      this.#router.spreading = spreading;
      return;
    }
    this.#removeTargets();
    this.#router?.close();
    this.#router = spreading && new RtpsRouter(this.balancer, this.isV6, this.#routing, spreading);
  }

  #removeTargets(): void {
    this.balancer.update({ endpoints: [], policy: DEFAULT_POLICY });
  }
}

function spreadingOf({ rtpsRouting }: ServicePolicy): Spreading | null {
  return rtpsRouting === 'pin' ? null : rtpsRouting;
}
