import { DatagramSender } from '../../../sys/datagramsender.js';
import { errnoName } from '../../../sys/errno.js';
import { FIELD } from '../../shared/counters.js';
import type { DataplaneEvent } from '../../shared/messages.js';
import { Blame, blameForConnect, nodeFailure } from '../blame.js';
import { Failover } from '../failover.js';
import type { Target } from '../target.js';
import type { CarrierEvents, OpenCarrier } from './carrier.js';
import type { UdpFlow } from './flow.js';
import { RING_SLOTS } from './inbox.js';
import type { FlowLifetimes } from './lifetimes.js';

/**
 * Refusals of a flow within this time, ms, belong together: several endpoints refused the same datagrams.
 * After a longer time all endpoints may be tried again.
 */
const REFUSAL_WINDOW = 1000;
/**
 * Two complaints without proof confirm each other if they come within this time, ms, and the endpoint has
 * said nothing between them.
 */
const SUSPICION_WINDOW = 5000;
/** A flow that was moved without proof is moved again in this time, ms, only if there is proof. */
const UNPROVEN_REST = 30_000;

/** Moves flows from endpoints that are gone to others, and sends again what was not answered. */
export class FlowMover implements CarrierEvents {
  /** One set for all calls: a flow that has no other endpoint asks again with every datagram. */
  readonly #failed = new Set<Target>();
  readonly #sender = new DatagramSender(RING_SLOTS);

  constructor(
    readonly lifetimes: FlowLifetimes,
    readonly open: OpenCarrier,
    readonly report: (event: DataplaneEvent) => void,
  ) {}

  get #now(): number {
    return this.lifetimes.loop.now;
  }

  /**
   * Gives a new flow a carrier to its endpoint, or to another that can be had.
   * @returns false where it had to go
   */
  openCarrier(flow: UdpFlow): boolean {
    const code = this.#open(flow, flow.target);
    return code === 0 || this.#move(flow, this.#afterError(flow, code, true));
  }

  /**
   * Before datagrams are sent: gives the flow another endpoint where it needs one.
   * @returns false where it had to go
   */
  moveIfNeeded(flow: UdpFlow): boolean {
    if (flow.target.isRemoved) return this.#leaveRemoved(flow);
    return flow.heardAt >= flow.target.failedAt || this.#leaveFailed(flow);
  }

  answered(flow: UdpFlow): void {
    const { table, inbox } = this.lifetimes;
    const now = this.#now;
    table.markReplied(flow);
    table.touch(flow, now);
    flow.answeredUpTo = inbox.received;
    flow.heardAt = now;
    flow.target.heardAt = now;
    flow.failover = null;
  }

  /** The endpoint is asked again first. A second complaint about that confirms the first one. */
  suspected(flow: UdpFlow, code: number): void {
    if (this.#isConfirmed(flow)) this.refused(flow, code, false);
    else this.#sendAgain(flow);
  }

  /**
   * Another endpoint gets the flow, and again what the first never answered.
   * @param isForAll whether the failure counts for everyone; else others stay until a second client was
   *   refused too
   */
  refused(flow: UdpFlow, code: number, isForAll: boolean): void {
    flow.carrier?.drain();
    if (this.#move(flow, this.#afterError(flow, code, isForAll))) this.#sendAgain(flow);
  }

  /** @returns whether the endpoint was asked again since somebody first said that it is gone */
  #isConfirmed(flow: UdpFlow): boolean {
    const now = this.#now;
    const isSecond =
      flow.suspectedAt >= flow.heardAt && now - flow.suspectedAt < SUSPICION_WINDOW && flow.wasAskedAgain;
    flow.suspectedAt = now;
    flow.wasAskedAgain = false;
    if (!isSecond || now - flow.movedUnprovenAt < UNPROVEN_REST) return false;
    flow.movedUnprovenAt = now;
    return true;
  }

  /**
   * Blames the flow's endpoint for an error, if it is to blame.
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
    if (now - flow.refusedAt >= REFUSAL_WINDOW) flow.failover = null;
    flow.failover ??= new Failover(portal, pinKey, now, this.report);
    flow.refusedAt = now;
    return flow.failover.next(target, errnoName(code), now, isSecond || isForAll);
  }

  /**
   * The endpoint is no longer one of the Service's: another has the flow from this datagram on. What came
   * before is still the first one's to answer.
   * @returns false where the flow had to go
   */
  #leaveRemoved(flow: UdpFlow): boolean {
    flow.answeredUpTo = this.lifetimes.inbox.firstNumberOf(flow) - 1;
    const other = flow.portal.balancer.pick(flow.pinKey);
    if (other !== null) flow.carrier?.retire();
    return this.#move(flow, other);
  }

  /**
   * The endpoint has refused another flow since it last answered this one. No other sign may ever come: Linux
   * refuses six datagrams of one peer, and then one a second. A flow that has no other endpoint stays.
   * @returns false where the flow had to go
   */
  #leaveFailed(flow: UdpFlow): boolean {
    this.#failed.clear();
    this.#failed.add(flow.target);
    const other = flow.portal.balancer.pickOther(flow.pinKey, this.#failed);
    return other === null || this.#move(flow, other);
  }

  /**
   * Gives the flow a carrier to another endpoint, or to the next one where that cannot be had.
   * @param first null where there is no other: the flow ends
   * @returns false where the flow had to go
   */
  #move(flow: UdpFlow, first: Target | null): boolean {
    let target = first;
    while (target !== null) {
      flow.carrier?.close();
      flow.portal.count(FIELD.flowsMoved, 1);
      const code = this.#open(flow, target);
      if (code === 0) return true;
      // The kernel itself says so, for want of a route: that goes for all flows.
      target = this.#afterError(flow, code, true);
    }
    this.lifetimes.end(flow);
    return false;
  }

  /** @returns 0, or the errno */
  #open(flow: UdpFlow, target: Target): number {
    flow.target = target;
    const carrier = this.open(flow);
    if (typeof carrier === 'number') return carrier;
    flow.carrier = carrier;
    flow.heardAt = this.#now;
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
