import type { RtpsRouting } from '../../../../portal/policy.js';
import { destinationAt, isRtps, SOURCE_PREFIX_AT } from '../../../../rtps/message.js';
import { ABSENT } from '../../../../rtps/submessages.js';
import { addressAt, isSameAddress, isSameSocket } from '../../../../sys/sockaddrwords.js';
import { ALL_ENDPOINTS } from '../../../shared/endpoints.js';
import type { Balancer } from '../../balancer.js';
import { Target } from '../../target.js';
import { CopyLimit } from './copylimit.js';
import type { RtpsService, RtpsServices } from './services.js';

/** How the datagrams of a flow that has no endpoint of its own are routed. */
export type Spreading = Exclude<RtpsRouting, 'pin'>;

/** A client's datagram: bytes of a block, and the socket address of its sender. */
export interface Routed {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly sender: Int32Array;
  /** The word of `sender` where the socket address begins. */
  readonly senderAt: number;
}

/** What the routers of one worker share. */
export interface RoutingContext {
  readonly services: RtpsServices;
  /** See {@link CopyLimit}. */
  readonly copiesPerSecond: number;
}

/** Decides to which endpoints of a portal each datagram goes. */
export class RtpsRouter {
  /** Stands for the endpoints of the portal's flows. */
  readonly everyone = new Target({ id: ALL_ENDPOINTS, address: '0.0.0.0', port: 0 }, ALL_ENDPOINTS);
  /** Whether a client has sent an RTPS message. Until then endpoints may speak anything else. */
  hasSeenRtps = false;
  /** When a datagram last named a participant that no endpoint is known to have, loop clock, ms. */
  strangerMetAt = Number.NEGATIVE_INFINITY;
  /** When the {@link Prober} looks next which endpoints are due, loop clock, ms. */
  nextLook = 0;
  readonly service: RtpsService;
  readonly limit: CopyLimit;
  readonly #balancer: Balancer;
  readonly #isV6: boolean;
  readonly #context: RoutingContext;
  readonly #chosen: Target[] = [];

  constructor(
    balancer: Balancer,
    isV6: boolean,
    context: RoutingContext,
    public spreading: Spreading,
  ) {
    this.service = context.services.open(balancer.service);
    this.limit = new CopyLimit(context.copiesPerSecond);
    this.#balancer = balancer;
    this.#isV6 = isV6;
    this.#context = context;
  }

  /** The portal goes, or routes no longer: its flows need another target. */
  close(): void {
    this.everyone.isRemoved = true;
    this.#context.services.close(this.#balancer.service);
  }

  /**
   * The endpoints for a datagram: the one that has the participant for which it is, or all but the sender.
   * Valid until the next call.
   */
  route(datagram: Routed, now: number): readonly Target[] {
    const { bytes, start, end } = datagram;
    const isMessage = isRtps(bytes, start, end);
    if (isMessage) this.hasSeenRtps = true;
    const sender = isMessage ? this.#senderOf(datagram, now) : this.#targetAtAddressOf(datagram);
    const chosen = this.#chosen;
    chosen.length = 0;
    const owner = isMessage && this.spreading === 'follow' ? this.#addressee(datagram, now) : null;
    if (owner !== null) {
      if (owner !== sender) chosen.push(owner);
      return chosen;
    }
    for (const target of this.#balancer.rotation.preferred) if (target !== sender) chosen.push(target);
    return chosen;
  }

  /** All endpoints of the portal. */
  get targets(): readonly Target[] {
    return this.#balancer.rotation.targets;
  }

  /** The endpoint with a socket address, which has sent an answer; null for strangers. */
  targetAt(sockaddr: Int32Array, at: number): Target | null {
    for (const target of this.#balancer.rotation.targets) {
      if (isSameSocket(target.address.memory.words, 0, sockaddr, at, this.#isV6)) return target;
    }
    return null;
  }

  /** An endpoint has sent this. */
  heard(target: Target, bytes: Uint8Array, start: number, end: number, now: number): void {
    target.answeredAt = now;
    if (isRtps(bytes, start, end)) this.service.owners.learn(bytes, start + SOURCE_PREFIX_AT, target.id, now);
  }

  /** The endpoint that has the participant that the message names, or null. */
  #addressee({ bytes, start, end }: Routed, now: number): Target | null {
    const at = destinationAt(bytes, start, end);
    if (at === ABSENT) return null;
    const owner = this.#ownerOf(bytes, at, now);
    if (owner === null) this.strangerMetAt = now;
    return owner;
  }

  /**
   * The endpoint that sent a message, or null. It is known by its participant, as pods behind a NAT and those
   * of the host network share addresses with others; and where it has never said which participant it has, by
   * its address.
   */
  #senderOf(datagram: Routed, now: number): Target | null {
    const { bytes, start } = datagram;
    const prefix = start + SOURCE_PREFIX_AT;
    const owner = this.#ownerOf(bytes, prefix, now);
    if (owner !== null) return owner;
    const target = this.#targetAtAddressOf(datagram);
    if (target === null || this.service.owners.isIdentified(target.id, now)) return null;
    this.service.owners.guess(bytes, prefix, target.id, now);
    return target;
  }

  #ownerOf(bytes: Uint8Array, at: number, now: number): Target | null {
    const id = this.service.owners.find(bytes, at, now);
    return id === null ? null : this.#balancer.rotation.find(id);
  }

  #targetAtAddressOf({ sender, senderAt }: Routed): Target | null {
    const at = addressAt(senderAt, this.#isV6);
    const own = addressAt(0, this.#isV6);
    for (const target of this.#balancer.rotation.targets) {
      if (isSameAddress(target.address.memory.words, own, sender, at, this.#isV6)) return target;
    }
    return null;
  }
}
