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

/** Endpoints that refuse a flow within this time, ms, refused the same datagrams; later ones are another story. */
const REFUSAL_WINDOW = 1000;
/** Unproven complaints this close, ms, with nothing heard from the endpoint between them, confirm each other. */
const SUSPICION_WINDOW = 5000;
/** How long, ms, a flow that was moved without proof stays where it is, unless there is proof. */
const UNPROVEN_REST = 30_000;

/** Moves flows from endpoints that are gone to others, with what was not answered. */
export class FlowMover implements CarrierEvents {
  /** Filled anew each time: a flow with nowhere else to go comes here with every datagram. */
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

  /** Gives a new flow a carrier to its endpoint, or to another that can be had. @returns false where it had to go */
  settle(flow: UdpFlow): boolean {
    const code = this.open(flow, flow.target);
    return code === 0 || this.#move(flow, this.#afterError(flow, code, true));
  }

  /** Before datagrams are sent: gives the flow another endpoint where it needs one. @returns false where it had to go */
  reconsider(flow: UdpFlow): boolean {
    if (flow.target.removed) return this.#leave(flow);
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

  /** It is asked again first: a second one that says so confirms it. */
  suspected(flow: UdpFlow, code: number): void {
    if (this.#isConfirmed(flow)) this.refused(flow, code, false);
    else this.#sendAgain(flow);
  }

  /**
   * Another endpoint gets the flow, and again what the first never answered.
   * @param isForAll whether the failure counts for everyone; else others stay until a second client was refused too
   */
  refused(flow: UdpFlow, code: number, isForAll: boolean): void {
    flow.carrier?.drain();
    if (this.#move(flow, this.#afterError(flow, code, isForAll))) this.#sendAgain(flow);
  }

  /** @returns whether the endpoint was asked again since somebody first said that it is gone */
  #isConfirmed(flow: UdpFlow): boolean {
    const now = this.#now;
    const isSecond =
      flow.suspectedAt >= flow.heardAt && now - flow.suspectedAt < SUSPICION_WINDOW && flow.asked;
    flow.suspectedAt = now;
    flow.asked = false;
    if (!isSecond || now - flow.movedUnprovenAt < UNPROVEN_REST) return false;
    flow.movedUnprovenAt = now;
    return true;
  }

  /** Blames the flow's endpoint for an error, if it is to blame. @returns the endpoint to try next, or null */
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
   * The endpoint is no longer one of the Service's: another has the flow from this datagram on. What came before is
   * still the first one's to answer.
   * @returns false where the flow had to go
   */
  #leave(flow: UdpFlow): boolean {
    flow.answeredUpTo = this.lifetimes.inbox.firstNumberOf(flow) - 1;
    const other = flow.portal.balancer.pick(flow.pinKey);
    if (other !== null) flow.carrier?.leave();
    return this.#move(flow, other);
  }

  /**
   * The endpoint has refused another flow since this one last heard of it. That may be all the news there is: Linux
   * refuses six datagrams of one peer, and then one a second. A flow with nowhere else to go stays.
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
      const code = this.open(flow, target);
      if (code === 0) return true;
      // The kernel itself says so, for want of a route: that goes for all flows.
      target = this.#afterError(flow, code, true);
    }
    this.lifetimes.end(flow);
    return false;
  }

  #sendAgain(flow: UdpFlow): void {
    const sender = this.#sender;
    const now = this.#now;
    sender.clear();
    this.lifetimes.inbox.collectUnanswered(flow, sender, now);
    if (sender.count > 0) flow.send(sender, now);
  }
}
