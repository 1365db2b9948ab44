import { FIELD } from '../../shared/counters.js';
import type { EventLoop, Task } from '../loop.js';
import { type ListeningSocket, UdpFlow } from './flow.js';
import { STAGES, Stage } from './flowstages.js';
import type { FlowTable } from './flowtable.js';
import { type Inbox, NO_SLOT, type ReceivedDatagram } from './inbox.js';

/** Idle times of nf_conntrack_udp_timeout and nf_conntrack_udp_timeout_stream by stage, ms. */
const TIMEOUTS = [30_000, 30_000, 120_000];
/** A flow that is idle for this long, ms, may end when a TCP connection needs its descriptor. */
const SPARE_AFTER = 1000;
/**
 * A flow of each stage that is idle for this long, ms, may end when a new flow needs its local port. A
 * look-up that has its answer is done. A flow that waits for its first answer gets a second. A stream gets
 * half a minute.
 */
const PORT_SPARE_AFTER = [1000, 1, 30_000];

/**
 * How the flows of one worker begin and end. A flow ends when it is idle for too long, when its listener
 * closes, or when another one needs what it holds.
 */
export class FlowLifetimes implements Task {
  readonly #timeouts: readonly number[];

  /** @param udpTimeoutMs idle time of every flow, ms; null for conntrack's two values */
  constructor(
    readonly loop: EventLoop,
    readonly table: FlowTable,
    readonly inbox: Inbox,
    udpTimeoutMs: number | null,
  ) {
    this.#timeouts = udpTimeoutMs === null ? TIMEOUTS : STAGES.map(() => udpTimeoutMs);
    loop.addTask(this);
  }

  get deadline(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const stage of STAGES) earliest = Math.min(earliest, this.#expiry(stage));
    return earliest;
  }

  expire(now: number): void {
    for (const stage of STAGES) {
      while (this.#expiry(stage) <= now) this.end(this.table.oldest(stage) as UdpFlow);
    }
  }

  #expiry(stage: Stage): number {
    const flow = this.table.oldest(stage);
    return flow === null ? Number.POSITIVE_INFINITY : this.table.lastUsed(flow) + this.#timeouts[stage];
  }

  /**
   * Begins the flow of a datagram, with an endpoint and no carrier yet.
   * @param hops that it has onward
   * @returns null where the client may not come here, or there is no endpoint
   */
  begin(listener: ListeningSocket, head: ReceivedDatagram, hops: number): UdpFlow | null {
    const portal = listener.portal.forClient(head.names, head.nameAt);
    if (portal === null) return null;
    const { balancer } = portal;
    const pinKey = balancer.keyOf(head.names, head.nameAt, head);
    const target = balancer.pick(pinKey);
    if (target === null) return null;
    const victim = this.table.isFull ? this.table.victim() : null;
    if (victim !== null) this.#evict(victim);
    const flow = new UdpFlow(listener, portal, pinKey, target, hops, this.loop.now);
    flow.answeredUpTo = this.inbox.received;
    this.table.add(flow, head, this.loop.now);
    portal.count(FIELD.flowsTotal, 1);
    portal.count(FIELD.flowsActive, 1);
    return flow;
  }

  end(flow: UdpFlow): void {
    flow.carrier?.close();
    flow.previousCarrier?.close();
    flow.portal.count(FIELD.flowsActive, -1);
    flow.firstSlot = NO_SLOT;
    this.inbox.forget(flow);
    this.table.remove(flow);
  }

  /** Ends the flows that came through a listener. */
  endAll(listener: ListeningSocket): void {
    for (const flow of listener.flows) this.end(flow);
  }

  /** Who may use a portal changed: ends the flows of clients that now belong elsewhere. */
  endForeign(listener: ListeningSocket): void {
    const { names } = this.table.keys;
    for (const flow of listener.flows) {
      const portal = listener.portal.forClient(names.words, this.table.keys.nameAt(flow.index));
      if (portal !== flow.portal) this.end(flow);
    }
  }

  /** Gives up idle flows for TCP connections that need descriptors. @returns how many went */
  freeIdle(count: number): number {
    let freed = 0;
    while (freed < count) {
      const flow = this.table.victim();
      if (flow === null || this.#idleTime(flow) < SPARE_AFTER) break;
      this.#evict(flow);
      freed++;
    }
    return freed;
  }

  /**
   * Frees a descriptor for a flow, from the least recently used other one.
   * @returns false where there is none
   */
  evictOther(flow: UdpFlow): boolean {
    const victim = this.table.victim();
    if (victim === null || victim === flow) return false;
    this.#evict(victim);
    return true;
  }

  /**
   * Ends a flow for one that needs its local port.
   * @returns false where it is not idle for long enough, and stays
   */
  evictIdle(flow: UdpFlow): boolean {
    const stage = this.table.stageOf(flow);
    // A look-up that has its answer may be the next one already: another socket of the client's with the same
    // port.
    const isNext = stage === Stage.Answered && flow.isWaiting;
    if (this.#idleTime(flow) < PORT_SPARE_AFTER[isNext ? Stage.Unreplied : stage]) return false;
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
