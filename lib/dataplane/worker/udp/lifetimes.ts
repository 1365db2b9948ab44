import { inputDeviceOf, LOOPBACK_DEVICE } from '../../../sys/controlmessages.js';
import { FIELD } from '../../shared/counters.js';
import type { EventLoop, Task } from '../loop.js';
import type { Target } from '../target.js';
import { type ListeningSocket, UdpFlow } from './flow.js';
import { STAGES, Stage } from './flowstages.js';
import type { FlowTable } from './flowtable.js';
import { type Inbox, NO_SLOT } from './inbox.js';
import type { ReceivedDatagram } from './receiveddatagram.js';

/** Time-outs by stage: nf_conntrack_udp_timeout twice, nf_conntrack_udp_timeout_stream. */
const TIMEOUTS_MS = [30_000, 30_000, 120_000];
/** The kernel is asked this often whether a flow that it has taken over is still used. */
const HOT_TIMEOUT_MS = 1000;
/** A flow that was idle for this time may end if a TCP connection needs its descriptor. */
const SPARE_AFTER_MS = 1000;
/**
 * By stage: a flow that was idle for this time may end if a new flow needs its local port. An unreplied flow
 * has a second to get its answer. An answered flow is a look-up that is done. A stream has half a minute.
 * Nobody but the kernel knows how long hot flows were idle.
 */
const PORT_SPARE_AFTER_MS = [1000, 1, 30_000, Number.POSITIVE_INFINITY];

/**
 * Begins and ends the flows of one worker. A flow ends when it was idle for too long, when its listener
 * closes, or when another flow or a TCP connection needs its place, port or descriptor.
 */
export class FlowLifetimes implements Task {
  readonly #timeouts: readonly number[];

  /** @param udpTimeoutMs a flow ends after this idle time; null: {@link TIMEOUTS_MS} */
  constructor(
    readonly loop: EventLoop,
    readonly table: FlowTable,
    readonly inbox: Inbox,
    udpTimeoutMs: number | null,
  ) {
    const relayed = udpTimeoutMs === null ? TIMEOUTS_MS : TIMEOUTS_MS.map(() => udpTimeoutMs);
    this.#timeouts = [...relayed, HOT_TIMEOUT_MS];
    loop.addTask(this);
  }

  get deadline(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const stage of STAGES) earliest = Math.min(earliest, this.#expiry(stage));
    return earliest;
  }

  expire(now: number): void {
    for (const stage of STAGES) {
      while (this.#expiry(stage) <= now) this.#timeOut(this.table.oldest(stage) as UdpFlow, now);
    }
  }

  #timeOut(flow: UdpFlow, now: number): void {
    if (flow.carrier?.goesOn?.()) this.table.touch(flow, now);
    else this.end(flow);
  }

  #expiry(stage: Stage): number {
    const flow = this.table.oldest(stage);
    return flow === null ? Number.POSITIVE_INFINITY : this.table.lastUsed(flow) + this.#timeouts[stage];
  }

  /**
   * Begins the flow of a datagram. The flow has an endpoint, and no carrier yet.
   * @param hops that the datagram has left
   * @returns null if the client may not use the portal, or the portal has no endpoint
   */
  begin(listener: ListeningSocket, head: ReceivedDatagram, hops: number): UdpFlow | null {
    const portal = listener.portal.forClient(head.names, head.nameAt);
    if (portal === null) return null;
    const { balancer } = portal;
    const pinKey = balancer.keyOf(head.names, head.nameAt, head.prefixWords > 0 ? head : null);
    const target = portal.pick(pinKey);
    if (target === null) return null;
    if (this.table.isFull) this.#evict(this.table.victim() as UdpFlow);
    const flow = new UdpFlow(listener, portal, pinKey, target, hops, this.loop.now);
    const inputDevice = inputDeviceOf(head.controls, head.controlAt, portal.isV6);
    flow.inputDevice = inputDevice === LOOPBACK_DEVICE ? 0 : inputDevice;
    flow.answeredUpTo = this.inbox.received;
    this.table.add(flow, head, this.loop.now);
    portal.count(FIELD.flowsTotal, 1);
    target.counts.total++;
    flow.countActive(1);
    return flow;
  }

  /** Gives a flow an endpoint, which may be the one that it has. */
  setTarget(flow: UdpFlow, target: Target): void {
    flow.target.counts.active--;
    flow.target = target;
    target.counts.active++;
  }

  end(flow: UdpFlow): void {
    flow.carrier?.close();
    flow.previousCarrier?.close();
    flow.countActive(-1);
    flow.firstSlot = NO_SLOT;
    this.inbox.forget(flow);
    this.table.remove(flow);
  }

  /** Ends all flows of a listener. */
  endAll(listener: ListeningSocket): void {
    for (const flow of listener.flows) this.end(flow);
  }

  /** The admission changed. Ends the flows of clients that another portal or none serves now. */
  endForeign(listener: ListeningSocket): void {
    const { names } = this.table.keys;
    for (const flow of listener.flows) {
      const portal = listener.portal.forClient(names.words, this.table.keys.nameAt(flow.index));
      if (portal !== flow.portal) this.end(flow);
    }
  }

  /** Ends idle flows because TCP connections need descriptors. @returns how many flows ended */
  freeIdle(count: number): number {
    let freed = 0;
    while (freed < count) {
      const flow = this.table.victim();
      if (flow === null || this.#idleTime(flow) < SPARE_AFTER_MS) break;
      this.#evict(flow);
      freed++;
    }
    return freed;
  }

  /**
   * Ends another flow because this one needs a descriptor.
   * @returns false if there is no other flow that should end first
   */
  evictOther(flow: UdpFlow): boolean {
    const victim = this.table.victim();
    if (victim === null || victim === flow) return false;
    this.#evict(victim);
    return true;
  }

  /**
   * Ends a flow because a new one needs its local port.
   * @returns false if it was not idle for long enough, and stays
   */
  evictIdle(flow: UdpFlow): boolean {
    const stage = this.table.stageOf(flow);
    // The client may have opened another socket with the same port for its next look-up. It is in the same
    // flow, and waits for an answer.
    const isNext = stage === Stage.Answered && flow.isWaiting;
    if (this.#idleTime(flow) < PORT_SPARE_AFTER_MS[isNext ? Stage.Unreplied : stage]) return false;
    this.#evict(flow);
    return true;
  }

  #idleTime(flow: UdpFlow): number {
    return this.loop.now - this.table.lastUsed(flow);
  }

  #evict(flow: UdpFlow): void {
    flow.portal.count(FIELD.flowsEvicted, 1);
    this.end(flow);
  }
}
