import { EPOLLERR } from '../../../sys/constants.js';
import { NAME_WORDS, receivedHopsOf } from '../../../sys/datagrams.js';
import { DatagramSender } from '../../../sys/datagramsender.js';
import { errno } from '../../../sys/errno.js';
import { portIn } from '../../../sys/sockaddr.js';
import { closeSocket } from '../../../sys/socket.js';
import type { DescriptorBudget } from '../../shared/budget.js';
import { FIELD } from '../../shared/counters.js';
import type { DataplaneEvent } from '../../shared/messages.js';
import { Blame, blameForSend } from '../blame.js';
import { clientAddress, clientKey } from '../clientkey.js';
import { hopsOnward } from '../hops.js';
import type { EventLoop, Task, Watcher } from '../loop.js';
import type { ServedPortal } from '../servedportal.js';
import type { OpenSession } from '../sessionlisting.js';
import { UdpFlow } from './flow.js';
import { FlowTable, NONE, STAGES, Stage } from './flowtable.js';
import { Inbox, type ReceivedDatagram, RING_SLOTS } from './inbox.js';
import { FlowMover } from './mover.js';
import type { EndpointSocket, SocketOwner } from './sockets/endpointsocket.js';
import { FlowSockets } from './sockets/flowsockets.js';
import type { LocalPorts } from './sockets/localports.js';
import { Replies } from './sockets/replies.js';

/** Batches one listener may take before the others get their turn. */
const BATCHES_PER_EVENT = 4;
/** Idle times of nf_conntrack_udp_timeout and nf_conntrack_udp_timeout_stream by stage, ms. */
const TIMEOUTS = [30_000, 30_000, 120_000];
/** A flow idle for this long, ms, may go when TCP needs its descriptor. */
const SPARE_AFTER = 1000;
/**
 * A flow idle for this long by its stage, ms, may go when a new one needs its local port. A look-up that has its answer is done;
 * who still waits for one gets a while, and a stream is left alone.
 */
const PORT_SPARE_AFTER = [1000, 1, 30_000];

/** How listings call the stages. */
const STATES = ['unreplied', 'answered', 'stream'] as const;

/** The UDP portals of one worker: clients' datagrams to endpoints through one connected socket a flow, and back. */
export class UdpRelay implements Task, SocketOwner {
  readonly #table: FlowTable;
  readonly #flows: (UdpFlow | null)[];
  readonly #inbox = new Inbox();
  readonly #sender = new DatagramSender(RING_SLOTS);
  readonly #replies: Replies;
  readonly #sockets: FlowSockets;
  readonly #mover: FlowMover;
  readonly #timeouts: readonly number[];

  /** @param udpTimeout idle time of every flow, ms; null for conntrack's two values */
  constructor(
    readonly loop: EventLoop,
    readonly localPorts: LocalPorts<EndpointSocket>,
    budget: DescriptorBudget,
    maxFlows: number,
    udpTimeout: number | null,
    readonly report: (event: DataplaneEvent) => void,
  ) {
    this.#table = new FlowTable(maxFlows);
    this.#flows = new Array(maxFlows).fill(null);
    this.#timeouts = udpTimeout === null ? TIMEOUTS : STAGES.map(() => udpTimeout);
    this.#replies = new Replies(this.#table);
    this.#sockets = new FlowSockets(loop, budget, this, report, (flow) => this.#evictFor(flow));
    this.#mover = new FlowMover(this.#sockets, this.#inbox, this.#replies, report, (flow) =>
      this.#remove(flow),
    );
    loop.addTask(this);
  }

  get flows(): number {
    return this.#table.size;
  }

  get deadline(): number {
    let earliest = this.#sockets.deadline;
    for (const stage of STAGES) earliest = Math.min(earliest, this.#expiry(stage));
    return earliest;
  }

  expire(now: number): void {
    for (const stage of STAGES) {
      while (this.#expiry(stage) <= now) this.#remove(this.#flowAt(this.#table.oldest(stage)));
    }
    this.#sockets.expire(now);
  }

  #expiry(stage: Stage): number {
    const flow = this.#table.oldest(stage);
    return flow === NONE ? Number.POSITIVE_INFINITY : this.#table.lastUsed[flow] + this.#timeouts[stage];
  }

  #flowAt(index: number): UdpFlow {
    return this.#flows[index] as UdpFlow;
  }

  listen(fd: number, portal: ServedPortal): UdpListener {
    const listener = new UdpListener(this, fd, portal);
    this.loop.watchInput(fd, listener);
    return listener;
  }

  /** Closes a listener and the flows that came through it. */
  close(listener: UdpListener): void {
    this.#table.forEachOf(listener.fd, (index) => this.#remove(this.#flowAt(index)));
    this.loop.forget(listener.fd);
    closeSocket(listener.fd);
  }

  /** Who may use a portal changed: flows of clients that now belong elsewhere go. */
  admissionChanged(listener: UdpListener): void {
    const { words } = this.#table.names;
    this.#table.forEachOf(listener.fd, (index) => {
      const flow = this.#flowAt(index);
      const portal = listener.portal.forClient(words, index * NAME_WORDS);
      if (portal !== flow.portal) this.#remove(flow);
    });
  }

  /** The flows in the order of their indices. @param index the first one to look at */
  *sessionsFrom(index: number): Iterable<OpenSession> {
    const { words } = this.#table.names;
    for (let at = index; at < this.#flows.length; at++) {
      const flow = this.#flows[at];
      if (flow === null) continue;
      const { portal, target } = flow;
      yield {
        at,
        portal,
        target,
        state: STATES[this.#table.stageOf(at)],
        usedAt: this.#table.lastUsed[at],
        client: clientKey(words, at * NAME_WORDS),
        clientPort: portIn(words[at * NAME_WORDS]),
      };
    }
  }

  /** Gives up idle flows for TCP connections that need descriptors. @returns how many went */
  freeIdle(count: number): number {
    let freed = 0;
    while (freed < count) {
      const index = this.#table.victim();
      if (index === NONE || this.loop.now - this.#table.lastUsed[index] < SPARE_AFTER) break;
      this.#evict(this.#flowAt(index));
      freed++;
    }
    return freed;
  }

  giveUp(holder: EndpointSocket): boolean {
    const { flow } = holder;
    if (holder === flow.left) {
      this.#sockets.closeLeft(flow);
      return true;
    }
    const idle = this.loop.now - this.#table.lastUsed[flow.index];
    const stage = this.#table.stageOf(flow.index);
    // A look-up that has its answer may be the next one already: another socket of the client's with the same port.
    const isNext = stage === Stage.Answered && flow.isWaiting;
    if (idle < PORT_SPARE_AFTER[isNext ? Stage.Unreplied : stage]) return false;
    this.#evict(flow);
    return true;
  }

  /**
   * Takes what a listener has, sorts it by flow, and sends each flow's share in one go.
   * @returns 0, or the errno where it has nothing
   */
  receive(listener: UdpListener): number {
    const inbox = this.#inbox;
    for (let batch = 0; batch < BATCHES_PER_EVENT; batch++) {
      const count = inbox.receive(listener.fd);
      if (count < 0) return batch === 0 ? errno() : 0;
      for (let slot = inbox.first; slot < inbox.first + count; slot++) this.#file(slot, listener);
      for (const flow of inbox.flows) this.#forward(flow);
      if (inbox.hasAll) break;
    }
    return 0;
  }

  #file(slot: number, listener: UdpListener): void {
    const { now } = this.loop;
    const flow = this.#flowOf(listener, this.#inbox.head(slot));
    this.#inbox.file(slot, flow, now);
    if (flow === null) listener.portal.count(FIELD.datagramsDropped, 1);
    // At once, so that a new flow later in the batch does not take its place.
    else this.#table.touch(flow.index, now);
  }

  /** @returns null for a datagram that goes no further */
  #flowOf(listener: UdpListener, head: ReceivedDatagram): UdpFlow | null {
    const { portal } = listener;
    const hops = hopsOnward(receivedHopsOf(head.controls, head.controlAt, portal.isV6));
    if (hops < 1) {
      this.report({
        kind: 'hopsUsedUp',
        portal: portal.key,
        client: clientAddress(clientKey(head.names, head.nameAt)),
      });
      return null;
    }
    const index = this.#table.find(listener.fd, head, portal.isV6);
    if (index === NONE) return this.#open(listener, head, hops);
    const flow = this.#flowAt(index);
    flow.limitHops(hops);
    return flow;
  }

  #forward(flow: UdpFlow): void {
    // Removed since it was sorted: flows opened later in the batch needed its descriptor.
    if (flow.firstSlot === NONE || !this.#mover.reconsider(flow)) return;
    const sender = this.#sender;
    sender.clear();
    this.#inbox.collectBatch(flow, sender);
    this.#keepPin(flow);
    flow.portal.count(FIELD.datagramsIn, sender.count);
    flow.portal.count(FIELD.bytesIn, sender.bytes);
    const socket = flow.socket as EndpointSocket;
    socket.followHops();
    socket.makeRoomFor(sender.count);
    flow.asked = true;
    sender.maySegment = flow.maySegment(this.loop.now);
    const sent = sender.sendConnected(socket.fd);
    if (sender.segments === 'sent') this.#inbox.noteRun(flow);
    else if (sender.segments === 'refused') flow.refuseSegments(this.loop.now);
    if (sent < sender.count) this.#sendFailed(flow, sender.count - sent);
  }

  #sendFailed(flow: UdpFlow, missing: number): void {
    const code = errno();
    if (blameForSend(code) === Blame.Endpoint) this.#mover.refused(flow, code, true);
    else flow.portal.count(FIELD.datagramsDropped, missing);
  }

  /** What an endpoint said before its errors came is heard before them. */
  onSocketReady(socket: EndpointSocket, events: number): number {
    const { flow } = socket;
    const count = this.#replies.relay(socket, this.loop.now);
    const code = count < 0 ? errno() : 0;
    if (count > 0 && socket === flow.socket) this.#noteReply(flow);
    const hasHeard = (events & EPOLLERR) !== 0 && this.#mover.hear(socket);
    return hasHeard ? 0 : code;
  }

  #noteReply(flow: UdpFlow): void {
    const { now } = this.loop;
    this.#table.markReplied(flow.index);
    this.#table.touch(flow.index, now);
    flow.answeredUpTo = this.#inbox.received;
    flow.heardAt = now;
    flow.target.heardAt = now;
    flow.failover = null;
  }

  /** Long flows never pick again, so they keep their pin alive themselves. */
  #keepPin(flow: UdpFlow): void {
    if (flow.pinKey === null || this.loop.now < flow.pinRefreshAt) return;
    const { balancer } = flow.portal;
    balancer.refresh(flow.pinKey);
    flow.pinRefreshAt = this.loop.now + balancer.refreshPeriod;
  }

  #open(listener: UdpListener, head: ReceivedDatagram, hops: number): UdpFlow | null {
    const portal = listener.portal.forClient(head.names, head.nameAt);
    if (portal === null) return null;
    const { balancer } = portal;
    const pinKey = balancer.keyOf(head.names, head.nameAt, head);
    const target = balancer.pick(pinKey);
    if (target === null) return null;
    if (this.#table.isFull) this.#evict(this.#flowAt(this.#table.victim()));
    const index = this.#table.add(listener.fd, head, portal.isV6, this.loop.now);
    const flow = new UdpFlow(index, listener.fd, portal, pinKey, target, hops);
    this.#flows[index] = flow;
    flow.answeredUpTo = this.#inbox.received;
    flow.pinRefreshAt = this.loop.now + balancer.refreshPeriod;
    portal.count(FIELD.flowsTotal, 1);
    portal.count(FIELD.flowsActive, 1);
    return this.#mover.settle(flow) ? flow : null;
  }

  /** Frees a descriptor for a flow, from the least recently used other one. @returns false where there is none */
  #evictFor(flow: UdpFlow): boolean {
    const index = this.#table.victim();
    if (index === NONE || index === flow.index) return false;
    this.#evict(this.#flowAt(index));
    return true;
  }

  #evict(flow: UdpFlow): void {
    flow.portal.count(FIELD.flowsEvicted, 1);
    this.#remove(flow);
  }

  #remove(flow: UdpFlow): void {
    this.#sockets.close(flow);
    this.#sockets.closeLeft(flow);
    flow.portal.count(FIELD.flowsActive, -1);
    flow.firstSlot = NONE;
    this.#inbox.forget(flow);
    this.#flows[flow.index] = null;
    this.#table.remove(flow.index);
  }
}

/** One bound socket of a UDP portal. */
export class UdpListener implements Watcher {
  constructor(
    readonly relay: UdpRelay,
    readonly fd: number,
    readonly portal: ServedPortal,
  ) {}

  get owner(): string {
    return this.portal.key;
  }

  onReady(): number {
    return this.relay.receive(this);
  }

  close(): void {
    this.relay.close(this);
  }
}
