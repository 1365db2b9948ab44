import { DatagramSender } from '../../../sys/datagramsender.js';
import { EAGAIN, errno, errnoName } from '../../../sys/errno.js';
import { FIELD } from '../../shared/counters.js';
import type { DataplaneEvent } from '../../shared/messages.js';
import { Blame, blameForConnect, nodeFailure } from '../blame.js';
import { Failover } from '../failover.js';
import type { Target } from '../target.js';
import type { UdpFlow } from './flow.js';
import { type Inbox, RING_SLOTS } from './inbox.js';
import { Complaints, Verdict } from './sockets/complaints.js';
import type { EndpointSocket } from './sockets/endpointsocket.js';
import type { FlowSockets } from './sockets/flowsockets.js';
import type { Replies } from './sockets/replies.js';

/** Endpoints that refuse a flow within this time, ms, refused the same datagrams; later ones are another story. */
const REFUSAL_WINDOW = 1000;
/** Unproven complaints this close, ms, with nothing heard from the endpoint between them, confirm each other. */
const SUSPICION_WINDOW = 5000;
/** How long, ms, a flow that was moved without proof stays where it is, unless there is proof. */
const UNPROVEN_REST = 30_000;
/** Batches of late replies that are saved from a socket before it closes. */
const LATE_BATCHES = 4;

/** Moves flows from endpoints that are gone to others, with what was not answered. */
export class FlowMover {
  readonly #complaints: Complaints;
  /** Filled anew each time: a flow with nowhere else to go comes here with every datagram. */
  readonly #failed = new Set<Target>();
  readonly #sender = new DatagramSender(RING_SLOTS);

  /** @param remove ends a flow that has nowhere to go */
  constructor(
    readonly sockets: FlowSockets,
    readonly inbox: Inbox,
    readonly replies: Replies,
    readonly report: (event: DataplaneEvent) => void,
    readonly remove: (flow: UdpFlow) => void,
  ) {
    this.#complaints = new Complaints(inbox);
  }

  /** Gives a new flow its endpoint, or another that can be had. @returns false where it had to go */
  settle(flow: UdpFlow): boolean {
    return this.#openOrMove(flow, this.sockets.open(flow, flow.target), true);
  }

  /** Before datagrams are sent: gives the flow another endpoint where it needs one. @returns false where it had to go */
  reconsider(flow: UdpFlow): boolean {
    if (flow.target.removed) return this.#leave(flow);
    return flow.heardAt >= flow.target.failedAt || this.#leaveFailed(flow);
  }

  /** Hears the errors that a socket has kept, and does what follows from them. @returns whether there were any */
  hear(socket: EndpointSocket): boolean {
    const { flow } = socket;
    const verdict = this.#complaints.hear(socket);
    const { code, count, tooLong } = this.#complaints;
    if (tooLong.count > 0) tooLong.sendConnected(socket.fd);
    if (verdict === Verdict.Nothing) return count > 0;
    // Answers from there are a courtesy.
    if (socket === flow.left) this.sockets.closeLeft(flow);
    else if (verdict === Verdict.Suspected && !this.#isConfirmed(flow)) this.#sendAgain(flow);
    else this.refused(flow, code, verdict === Verdict.Unreachable);
    return true;
  }

  /**
   * The endpoint is gone: another one gets the flow, and again what the first never answered.
   * @param isForAll whether that goes for everyone; else others stay until a second client has been told so
   */
  refused(flow: UdpFlow, code: number, isForAll: boolean): void {
    this.#saveReplies(flow);
    if (this.#openOrMove(flow, code, isForAll)) this.#sendAgain(flow);
  }

  /** Notes that somebody says, without proof, that the endpoint is gone. @returns whether it was asked again since it was first said */
  #isConfirmed(flow: UdpFlow): boolean {
    const { now } = this.sockets.loop;
    const isSecond =
      flow.suspectedAt >= flow.heardAt && now - flow.suspectedAt < SUSPICION_WINDOW && flow.asked;
    flow.suspectedAt = now;
    flow.asked = false;
    if (!isSecond || now - flow.movedUnprovenAt < UNPROVEN_REST) return false;
    flow.movedUnprovenAt = now;
    return true;
  }

  /** What the endpoint said before it went is still in the socket that closes now. */
  #saveReplies({ socket }: UdpFlow): void {
    if (socket === null) return;
    for (let batch = 0; batch < LATE_BATCHES; batch++) {
      if (this.replies.relay(socket, this.sockets.loop.now) < 0 && errno() === EAGAIN) return;
    }
  }

  /**
   * @param code of the endpoint that the flow has now; 0 if it can stay
   * @returns whether the flow has an endpoint; each is tried once, then the flow is gone
   */
  #openOrMove(flow: UdpFlow, code: number, isForAll: boolean): boolean {
    let error = code;
    let goesForAll = isForAll;
    while (error !== 0) {
      const other = this.#afterError(flow, error, goesForAll);
      this.sockets.close(flow);
      if (other === null) {
        this.remove(flow);
        return false;
      }
      flow.portal.count(FIELD.flowsMoved, 1);
      error = this.sockets.open(flow, other);
      // The kernel itself says so, for want of a route.
      goesForAll = true;
    }
    return true;
  }

  /** @returns the endpoint to try next, or null */
  #afterError(flow: UdpFlow, code: number, isForAll: boolean): Target | null {
    const { portal, target, pinKey } = flow;
    if (blameForConnect(code) !== Blame.Endpoint) {
      this.report(nodeFailure(portal, target, code));
      return null;
    }
    const { now } = this.sockets.loop;
    portal.blame(target, pinKey, target.isRefusedAgain(flow.socket?.port, now) || isForAll);
    this.report({
      kind: 'endpointFailed',
      portal: portal.key,
      endpoint: target.name,
      reason: errnoName(code),
    });
    if (now - flow.refusedAt >= REFUSAL_WINDOW) flow.failover = null;
    flow.failover ??= new Failover(portal, pinKey, now);
    flow.refusedAt = now;
    return flow.failover.next(target, now);
  }

  /**
   * The endpoint is no longer one of the Service's: another has the flow from this datagram on. What came before is
   * still the first one's to answer.
   * @returns false where the flow had to go
   */
  #leave(flow: UdpFlow): boolean {
    flow.answeredUpTo = this.inbox.firstNumberOf(flow) - 1;
    const other = flow.portal.balancer.pick(flow.pinKey);
    if (other !== null) this.sockets.leave(flow);
    return this.#move(flow, other);
  }

  /**
   * The endpoint has refused another flow since this one last heard of it. That may be all the news there is: Linux refuses
   * six datagrams of one peer, and then one a second. A flow with nowhere else to go stays.
   * @returns false where the flow had to go
   */
  #leaveFailed(flow: UdpFlow): boolean {
    this.#failed.clear();
    this.#failed.add(flow.target);
    const other = flow.portal.balancer.pickOther(flow.pinKey, this.#failed);
    return other === null || this.#move(flow, other);
  }

  /** @returns false where the flow had to go */
  #move(flow: UdpFlow, target: Target | null): boolean {
    if (target === null) {
      this.remove(flow);
      return false;
    }
    this.sockets.close(flow);
    flow.portal.count(FIELD.flowsMoved, 1);
    return this.#openOrMove(flow, this.sockets.open(flow, target), true);
  }

  #sendAgain(flow: UdpFlow): void {
    const sender = this.#sender;
    const { now } = this.sockets.loop;
    sender.clear();
    this.inbox.collectUnanswered(flow, sender, now);
    if (sender.count === 0 || flow.socket === null) return;
    sender.maySegment = flow.maySegment(now);
    sender.sendConnected(flow.socket.fd);
    flow.asked = true;
  }
}
