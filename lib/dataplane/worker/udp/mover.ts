import { DatagramSender } from '../../../sys/datagramsender.js';
import { errnoName } from '../../../sys/errno.js';
import type { DataplaneEvent } from '../../shared/messages.js';
import { Blame, blameForConnect, nodeFailure } from '../blame.js';
import { Failover } from '../failover.js';
import type { Target } from '../target.js';
import type { CarrierEvents, OpenCarrier } from './carrier.js';
import type { UdpFlow } from './flow.js';
import { NO_FLOW } from './flowkeys.js';
import { RING_SLOTS } from './inbox.js';
import type { FlowLifetimes } from './lifetimes.js';

/**
 * Refusals of a flow within this time belong together: several endpoints refused the same datagrams. After a
 * longer time all endpoints may be tried again.
 */
const REFUSAL_WINDOW_MS = 1000;
/**
 * Two ICMP errors without proof confirm each other if they come within this time and the endpoint has not
 * answered between them.
 */
const SUSPICION_WINDOW_MS = 5000;
/** A flow that moved without proof moves again within this time only if there is a proof. */
const UNPROVEN_PAUSE_MS = 30_000;

/** Moves flows from endpoints that are gone to others, and sends datagrams without an answer again. */
export class FlowMover implements CarrierEvents {
  /** One set for all calls: a flow without another endpoint comes here with every datagram. */
  readonly #failed = new Set<Target>();
  readonly #sender = new DatagramSender(RING_SLOTS);

  constructor(
    readonly lifetimes: FlowLifetimes,
    readonly open: OpenCarrier,
    /** Told of every flow that has another endpoint now, and which one it had before. */
    readonly moved: (flow: UdpFlow, from: Target) => void,
    readonly report: (event: DataplaneEvent) => void,
  ) {}

  get #now(): number {
    return this.lifetimes.loop.now;
  }

  /**
   * Opens the carrier of a new flow. If that fails, other endpoints are tried.
   * @returns false if the flow had to end
   */
  openCarrier(flow: UdpFlow): boolean {
    const code = this.#open(flow, flow.target);
    return code === 0 || this.#move(flow, this.#afterError(flow, code, true));
  }

  /**
   * Moves the flow if its endpoint was removed or failed. To be called before datagrams are sent.
   * @returns false if the flow had to end
   */
  moveIfNeeded(flow: UdpFlow): boolean {
    if (flow.target.isRemoved) return this.#leaveRemoved(flow);
    return flow.aliveAt >= flow.target.failedAt || this.#leaveFailed(flow);
  }

  /**
   * Gives a flow the endpoint that its client is pinned to, where another flow of the client has moved there.
   * The caller is the one that hears of moves, and is not told of this one.
   * @returns whether it is another endpoint than before
   */
  followPin(flow: UdpFlow): boolean {
    const pinned = flow.portal.pick(flow.pinKey);
    return pinned !== null && pinned !== flow.target && this.#openOther(flow, pinned);
  }

  /**
   * Gives a flow another endpoint, as that of the same pod on another port has failed. As with
   * {@link followPin}, the caller is not told.
   * @returns false if it has none, because there is no other
   */
  followFailure(flow: UdpFlow): boolean {
    const other = this.#pickOther(flow);
    return other !== null && this.#openOther(flow, other);
  }

  answered(flow: UdpFlow): void {
    const { table, inbox } = this.lifetimes;
    const now = this.#now;
    table.markReplied(flow);
    table.touch(flow, now);
    flow.answeredUpTo = inbox.received;
    flow.aliveAt = now;
    flow.target.answeredAt = now;
    flow.failover = null;
  }

  /** Sends the datagrams again. If that brings a second ICMP error, the two confirm each other. */
  suspected(flow: UdpFlow, code: number): void {
    if (this.#isConfirmed(flow)) this.refused(flow, code, false);
    else this.#sendAgain(flow);
  }

  /**
   * Moves the flow to another endpoint, and sends the datagrams without an answer there.
   * @param isForAll whether other clients avoid the endpoint at once. If not, they do so after the endpoint
   *   has refused a second client
   */
  refused(flow: UdpFlow, code: number, isForAll: boolean): void {
    flow.carrier?.drain();
    if (this.#move(flow, this.#afterError(flow, code, isForAll))) this.#sendAgain(flow);
  }

  /** @returns whether this is the second ICMP error, and datagrams were sent between the two */
  #isConfirmed(flow: UdpFlow): boolean {
    const now = this.#now;
    const isSecond =
      flow.suspectedAt >= flow.aliveAt && now - flow.suspectedAt < SUSPICION_WINDOW_MS && flow.wasAskedAgain;
    flow.suspectedAt = now;
    flow.wasAskedAgain = false;
    if (!isSecond || now - flow.movedUnprovenAt < UNPROVEN_PAUSE_MS) return false;
    flow.movedUnprovenAt = now;
    return true;
  }

  /**
   * Blames the flow's endpoint for an error, unless this node is to blame.
   * @returns the endpoint to try next, or null
   */
  #afterError(flow: UdpFlow, code: number, isForAll: boolean): Target | null {
    const { portal, target, pinKey } = flow;
    if (blameForConnect(code) !== Blame.Endpoint) {
      this.report(nodeFailure(portal, target, code));
      return null;
    }
    const now = this.#now;
    const isSecond = target.isRefusedAgain(flow.carrier?.port, now);
    if (now - flow.refusedAt >= REFUSAL_WINDOW_MS) flow.failover = null;
    flow.failover ??= new Failover(portal, pinKey, now, this.report);
    flow.refusedAt = now;
    return flow.failover.next(target, errnoName(code), now, isSecond || isForAll);
  }

  /**
   * The endpoint was removed from the Service. Another one gets the flow, from the present batch on. The old
   * one may still answer the datagrams before.
   * @returns false if the flow had to end
   */
  #leaveRemoved(flow: UdpFlow): boolean {
    flow.answeredUpTo = this.lifetimes.inbox.firstNumberOf(flow) - 1;
    const other = flow.portal.pick(flow.pinKey);
    if (other !== null) flow.carrier?.retire();
    return this.#move(flow, other);
  }

  /**
   * The endpoint has refused another flow since it last answered this one, so this one moves too. It may
   * never get an ICMP error of its own: Linux sends six of them to one peer, and then one a second. If there
   * is no other endpoint, the flow stays.
   * @returns false if the flow had to end
   */
  #leaveFailed(flow: UdpFlow): boolean {
    const other = this.#pickOther(flow);
    return other === null || this.#move(flow, other);
  }

  #pickOther(flow: UdpFlow): Target | null {
    this.#failed.clear();
    this.#failed.add(flow.target);
    return flow.portal.balancer.pickOther(flow.pinKey, this.#failed);
  }

  /**
   * Gives the flow a carrier to another endpoint. If that fails, further endpoints are tried.
   * @param first the endpoint to try first; null if there is none: then the flow ends
   * @returns false if the flow had to end
   */
  #move(flow: UdpFlow, first: Target | null): boolean {
    const from = flow.target;
    if (!this.#openOther(flow, first)) return false;
    this.moved(flow, from);
    // What follows it may have needed its descriptor.
    return flow.index !== NO_FLOW;
  }

  /** As {@link #move}, and tells nobody. */
  #openOther(flow: UdpFlow, first: Target | null): boolean {
    let target = first;
    while (target !== null) {
      flow.carrier?.close();
      flow.portal.countMove(flow.target, target);
      const code = this.#open(flow, target);
      if (code === 0) return true;
      // This node itself has no route to the endpoint, so the error counts for all flows.
      target = this.#afterError(flow, code, true);
    }
    this.lifetimes.end(flow);
    return false;
  }

  /** @returns 0, or the errno */
  #open(flow: UdpFlow, target: Target): number {
    this.lifetimes.setTarget(flow, target);
    const carrier = this.open(flow);
    if (typeof carrier === 'number') return carrier;
    flow.carrier = carrier;
    flow.aliveAt = this.#now;
    return 0;
  }

  #sendAgain(flow: UdpFlow): void {
    const sender = this.#sender;
    const now = this.#now;
    sender.clear();
    this.lifetimes.inbox.collectUnanswered(flow, sender, now);
    if (sender.count > 0) flow.send(sender, now);
  }
}
