import { EPOLLIN } from '../sys/constants.js';
import { CONTROL_SIZE, CONTROL_WORDS, DatagramRing, DatagramSender, NAME_WORDS } from '../sys/datagrams.js';
import { EAGAIN, errno, errnoName } from '../sys/errno.js';
import { SOCKADDR_IN_SIZE, SOCKADDR_IN6_SIZE, SOCKADDR_SIZE } from '../sys/sockaddr.js';
import { closeSocket, connect, openDatagram, setBuffers } from '../sys/socket.js';
import type { ClientKey } from './affinity.js';
import type { Target } from './balancer.js';
import { Blame, blameForConnect, blameForSend, nodeFailure } from './blame.js';
import type { DescriptorBudget } from './budget.js';
import { clientKey } from './clientkey.js';
import { FIELD } from './counters.js';
import { Failover } from './failover.js';
import { type FlowIndex, FlowTable, NONE } from './flowtable.js';
import { LeftSockets } from './leftsockets.js';
import type { EventLoop, Task, Watcher } from './loop.js';
import type { DataplaneEvent } from './messages.js';
import type { PortalState } from './portal.js';

/** Datagrams one system call receives at most. */
const BATCH = 32;
/** Batches one listener may take before the others get their turn. */
const BATCHES_PER_EVENT = 4;
/** Received datagrams stay readable for this many more: what a refused flow can send again. */
const RING_SLOTS = 64;
/** Older datagrams are not sent again, ms. */
const RESEND_WINDOW = 200;
/** Endpoints that refuse a flow within this time, ms, refused the same datagrams; later ones are another story. */
const REFUSAL_WINDOW = 1000;
/** Idle times of nf_conntrack_udp_timeout and nf_conntrack_udp_timeout_stream, ms. */
const UNREPLIED_TIMEOUT = 30_000;
const REPLIED_TIMEOUT = 120_000;
/** A flow idle for this long, ms, may go when TCP needs its descriptor. */
const SPARE_AFTER = 1000;
/** Bytes; Cyclone DDS sends bursts of 64 KiB samples. */
export const UDP_BUFFER_SIZE = 4 * 1024 * 1024;

/** The UDP portals of one worker: clients' datagrams to endpoints through one connected socket a flow, and back. */
export class UdpRelay implements Watcher, Task {
  readonly #table: FlowTable;
  readonly #fds: Int32Array;
  readonly #listenerFds: Int32Array;
  readonly #portals: (PortalState | null)[];
  readonly #targets: (Target | null)[];
  readonly #clients: (ClientKey | null)[];
  readonly #pinRefreshAt: Float64Array;
  /** Of flows that were refused, and when the last endpoint did. */
  readonly #failovers: (Failover | null)[];
  readonly #refusedAt: Float64Array;
  /** Datagrams received up to the flow's last reply: the later ones were never answered. */
  readonly #answeredUpTo: Float64Array;
  /** When the flow's endpoint was chosen or last heard of, ms. */
  readonly #heardAt: Float64Array;
  readonly #flowOfFd: FlowIndex[] = [];
  readonly #leftSockets = new LeftSockets();
  readonly #timeouts: readonly [unreplied: number, replied: number];

  readonly #ring = new DatagramRing(RING_SLOTS, true);
  readonly #replies = new DatagramRing(BATCH, false);
  readonly #sender = new DatagramSender(RING_SLOTS);
  readonly #head;
  /** Per ring slot: its flow, the datagram's number, when it came, and the next slot of the same flow in the batch. */
  readonly #slotFlow = new Int32Array(RING_SLOTS).fill(NONE);
  readonly #slotNumber = new Float64Array(RING_SLOTS);
  readonly #slotTime = new Float64Array(RING_SLOTS);
  readonly #slotNext = new Int32Array(RING_SLOTS);
  /** Per flow: the first and last slot of the batch in hand. */
  readonly #batchFirst: Int32Array;
  readonly #batchLast: Int32Array;
  readonly #batchFlows = new Int32Array(BATCH);
  #received = 0;

  /** @param udpTimeout idle time of every flow, ms; null for conntrack's two values */
  constructor(
    readonly loop: EventLoop,
    readonly budget: DescriptorBudget,
    maxFlows: number,
    udpTimeout: number | null,
    readonly report: (event: DataplaneEvent) => void,
  ) {
    this.#table = new FlowTable(maxFlows);
    this.#fds = new Int32Array(maxFlows);
    this.#listenerFds = new Int32Array(maxFlows);
    this.#portals = new Array(maxFlows).fill(null);
    this.#targets = new Array(maxFlows).fill(null);
    this.#clients = new Array(maxFlows).fill(null);
    this.#pinRefreshAt = new Float64Array(maxFlows);
    this.#failovers = new Array(maxFlows).fill(null);
    this.#refusedAt = new Float64Array(maxFlows);
    this.#answeredUpTo = new Float64Array(maxFlows);
    this.#heardAt = new Float64Array(maxFlows);
    this.#batchFirst = new Int32Array(maxFlows).fill(NONE);
    this.#batchLast = new Int32Array(maxFlows);
    this.#timeouts = [udpTimeout ?? UNREPLIED_TIMEOUT, udpTimeout ?? REPLIED_TIMEOUT];
    this.#head = { names: this.#ring.nameWords, nameAt: 0, controls: this.#ring.controlWords, controlAt: 0 };
    loop.addTask(this);
  }

  get flows(): number {
    return this.#table.size;
  }

  get deadline(): number {
    return Math.min(this.#expiry(false), this.#expiry(true), this.#leftSockets.deadline);
  }

  expire(now: number): void {
    for (const replied of [false, true]) {
      while (this.#expiry(replied) <= now) this.#remove(this.#table.oldest(replied));
    }
    for (;;) {
      const flow = this.#leftSockets.expired(now);
      if (flow === NONE) return;
      this.#closeLeftSocket(flow);
    }
  }

  #expiry(replied: boolean): number {
    const flow = this.#table.oldest(replied);
    if (flow === NONE) return Number.POSITIVE_INFINITY;
    return this.#table.lastUsed[flow] + this.#timeouts[replied ? 1 : 0];
  }

  listen(fd: number, portal: PortalState): UdpListener {
    const listener = new UdpListener(this, fd, portal);
    this.loop.watch(fd, EPOLLIN, listener);
    return listener;
  }

  /** Closes a listener and the flows that came through it. */
  close(listener: UdpListener): void {
    this.#forEachFlow((flow) => {
      if (this.#listenerFds[flow] === listener.fd) this.#remove(flow);
    });
    this.loop.forget(listener.fd);
    closeSocket(listener.fd);
  }

  /** Who may use a portal changed: flows of clients that now belong elsewhere go. */
  admissionChanged(listener: UdpListener): void {
    const { words } = this.#table.names;
    this.#forEachFlow((flow) => {
      if (this.#listenerFds[flow] !== listener.fd) return;
      const portal = listener.portal.forClient(words, (flow * SOCKADDR_SIZE) / 4);
      if (portal !== this.#portals[flow]) this.#remove(flow);
    });
  }

  /** Gives up idle flows for TCP connections that need descriptors. @returns how many went */
  freeIdle(count: number): number {
    let freed = 0;
    while (freed < count) {
      const flow = this.#table.victim();
      if (flow === NONE || this.loop.now - this.#table.lastUsed[flow] < SPARE_AFTER) break;
      this.#evict(flow);
      freed++;
    }
    return freed;
  }

  #forEachFlow(visit: (flow: FlowIndex) => void): void {
    for (let flow = 0; flow < this.#table.capacity; flow++) if (this.#portals[flow] !== null) visit(flow);
  }

  /** Takes what a listener has, sorts it by flow, and sends each flow's share in one go. */
  receive(listener: UdpListener): void {
    for (let batch = 0; batch < BATCHES_PER_EVENT; batch++) {
      const room = this.#ring.room(BATCH);
      const count = this.#ring.receive(listener.fd, BATCH);
      if (count <= 0) return;
      const flows = this.#sortByFlow(listener, count);
      for (let i = 0; i < flows; i++) this.#forward(this.#batchFlows[i]);
      if (count < room) return;
    }
  }

  /** @returns how many entries of batchFlows are filled */
  #sortByFlow(listener: UdpListener, count: number): number {
    const { portal } = listener;
    let flows = 0;
    for (let slot = this.#ring.first; slot < this.#ring.first + count; slot++) {
      const flow = this.#flowOf(slot, listener);
      this.#slotFlow[slot] = flow;
      this.#slotNumber[slot] = ++this.#received;
      this.#slotTime[slot] = this.loop.now;
      this.#slotNext[slot] = NONE;
      if (flow === NONE) {
        portal.count(FIELD.datagramsDropped, 1);
        continue;
      }
      if (this.#batchFirst[flow] === NONE) {
        this.#batchFirst[flow] = slot;
        this.#batchFlows[flows++] = flow;
        // At once, so that a new flow later in the batch does not take its place.
        this.#table.touch(flow, this.loop.now);
      } else {
        this.#slotNext[this.#batchLast[flow]] = slot;
      }
      this.#batchLast[flow] = slot;
    }
    return flows;
  }

  #flowOf(slot: number, listener: UdpListener): FlowIndex {
    const head = this.#head;
    head.nameAt = slot * NAME_WORDS;
    head.controlAt = slot * CONTROL_WORDS;
    const flow = this.#table.find(listener.fd, head, listener.portal.isV6);
    return flow === NONE ? this.#open(listener) : flow;
  }

  #forward(flow: FlowIndex): void {
    let slot = this.#batchFirst[flow];
    // Removed since it was sorted: flows opened later in the batch needed its descriptor.
    if (slot === NONE) return;
    this.#batchFirst[flow] = NONE;
    if (!this.#reconsider(flow, slot)) return;
    const sender = this.#sender;
    sender.clear();
    for (; slot !== NONE; slot = this.#slotNext[slot]) {
      sender.push(this.#ring.payloadAddress(slot), this.#ring.length(slot));
    }
    this.#keepPin(flow);
    const portal = this.#portals[flow] as PortalState;
    portal.count(FIELD.datagramsIn, sender.count);
    portal.count(FIELD.bytesIn, sender.bytes);
    const { count } = sender;
    const sent = sender.sendConnected(this.#fds[flow]);
    if (sent < count) this.#sendFailed(flow, portal, count - sent);
  }

  #sendFailed(flow: FlowIndex, portal: PortalState, missing: number): void {
    const code = errno();
    if (blameForSend(code) === Blame.Endpoint) this.#refused(flow, code);
    else portal.count(FIELD.datagramsDropped, missing);
  }

  /** A flow's socket has replies, or the news that its endpoint is gone. */
  onReady(fd: number): void {
    const flow = this.#flowOfFd[fd];
    const isLeft = fd !== this.#fds[flow];
    if (this.#relayReplies(flow, fd) > 0) {
      if (!isLeft) this.#noteReply(flow);
      return;
    }
    const code = errno();
    if (code === EAGAIN) return;
    if (isLeft) this.#closeLeftSocket(flow);
    else if (blameForSend(code) === Blame.Endpoint) this.#refused(flow, code);
  }

  /** @returns how many replies there were, or -1 with `errno` */
  #relayReplies(flow: FlowIndex, fd: number): number {
    const portal = this.#portals[flow] as PortalState;
    const count = this.#replies.receive(fd, BATCH);
    if (count < 0) return count;
    const sender = this.#sender;
    sender.clear();
    for (let slot = this.#replies.first; slot < this.#replies.first + count; slot++) {
      sender.push(this.#replies.payloadAddress(slot), this.#replies.length(slot));
    }
    portal.count(FIELD.datagramsOut, count);
    portal.count(FIELD.bytesOut, sender.bytes);
    const sent = sender.sendTo(
      this.#listenerFds[flow],
      this.#table.names.address + flow * SOCKADDR_SIZE,
      portal.isV6 ? SOCKADDR_IN6_SIZE : SOCKADDR_IN_SIZE,
      this.#table.controls,
      flow * CONTROL_SIZE,
      portal.isV6,
    );
    if (sent < count) portal.count(FIELD.datagramsDropped, count - sent);
    return count;
  }

  #noteReply(flow: FlowIndex): void {
    this.#table.markReplied(flow);
    this.#table.touch(flow, this.loop.now);
    this.#answeredUpTo[flow] = this.#received;
    this.#heardAt[flow] = this.loop.now;
    this.#failovers[flow] = null;
  }

  /** Long flows never pick again, so they keep their client's pin alive themselves. */
  #keepPin(flow: FlowIndex): void {
    const client = this.#clients[flow];
    if (client === null || this.loop.now < this.#pinRefreshAt[flow]) return;
    const { balancer } = this.#portals[flow] as PortalState;
    balancer.refresh(client);
    this.#pinRefreshAt[flow] = this.loop.now + (balancer.affinityTimeout ?? 0) / 4;
  }

  #open(listener: UdpListener): FlowIndex {
    const portal = listener.portal.forClient(this.#head.names, this.#head.nameAt);
    if (portal === null) return NONE;
    const { balancer } = portal;
    const client = balancer.affinityTimeout === null ? null : clientKey(this.#head.names, this.#head.nameAt);
    const target = balancer.pick(client);
    if (target === null || !this.#makeRoom()) return NONE;
    const flow = this.#table.add(listener.fd, this.#head, portal.isV6, this.loop.now);
    this.#portals[flow] = portal;
    this.#clients[flow] = client;
    this.#listenerFds[flow] = listener.fd;
    this.#failovers[flow] = null;
    this.#answeredUpTo[flow] = this.#received;
    this.#pinRefreshAt[flow] = this.loop.now + (balancer.affinityTimeout ?? 0) / 4;
    this.#fds[flow] = NONE;
    portal.count(FIELD.flowsTotal, 1);
    portal.count(FIELD.flowsActive, 1);
    return this.#connectTo(flow, target) ? flow : NONE;
  }

  /** A place in the table and a descriptor, from the least recently used flow if there is no other. */
  #makeRoom(): boolean {
    if (this.#table.isFull) this.#evict(this.#table.victim());
    if (this.budget.take(1)) return true;
    this.report({ kind: 'descriptorsOut' });
    if (this.#table.size === 0) return false;
    this.#evict(this.#table.victim());
    return this.budget.take(1);
  }

  #evict(flow: FlowIndex): void {
    this.#portals[flow]?.count(FIELD.flowsEvicted, 1);
    this.#remove(flow);
  }

  /** Gives the flow a socket towards an endpoint, or towards another that can be had; without success the flow is gone. */
  #connectTo(flow: FlowIndex, target: Target): boolean {
    const code = this.#openSocket(flow, target);
    return code === 0 || this.#moveAway(flow, code);
  }

  /** @returns 0, or the error */
  #openSocket(flow: FlowIndex, target: Target): number {
    this.#targets[flow] = target;
    const fd = openDatagram(target.address.family);
    if (fd < 0) return errno();
    this.#fds[flow] = fd;
    if (connect(fd, target.address) < 0) return errno();
    setBuffers(fd, UDP_BUFFER_SIZE);
    this.#flowOfFd[fd] = flow;
    this.#heardAt[flow] = this.loop.now;
    this.loop.watch(fd, EPOLLIN, this);
    return 0;
  }

  /** The endpoint is gone: another one gets the flow, and again what the first never answered. */
  #refused(flow: FlowIndex, code: number): void {
    this.#saveReplies(flow);
    if (this.#moveAway(flow, code)) this.#resend(flow);
  }

  /** What the endpoint said before it went is still in the socket that closes now. */
  #saveReplies(flow: FlowIndex): void {
    for (let batch = 0; batch < BATCHES_PER_EVENT; batch++) {
      if (this.#relayReplies(flow, this.#fds[flow]) < 0 && errno() === EAGAIN) return;
    }
  }

  /** @returns whether another endpoint has the flow now; each is tried once, then the flow is gone */
  #moveAway(flow: FlowIndex, code: number): boolean {
    let error = code;
    while (error !== 0) {
      const other = this.#afterError(flow, error);
      this.#closeSocket(flow);
      if (other === null) {
        this.#remove(flow);
        return false;
      }
      this.#portals[flow]?.count(FIELD.flowsMoved, 1);
      error = this.#openSocket(flow, other);
    }
    return true;
  }

  /** @returns the endpoint to try next, or null */
  #afterError(flow: FlowIndex, code: number): Target | null {
    const target = this.#targets[flow] as Target;
    const portal = this.#portals[flow] as PortalState;
    if (blameForConnect(code) !== Blame.Endpoint) {
      this.report(nodeFailure(portal, target, code));
      return null;
    }
    const { now } = this.loop;
    portal.blame(target, this.#clients[flow]);
    this.report({
      kind: 'endpointFailed',
      portal: portal.key,
      endpoint: target.name,
      reason: errnoName(code),
    });
    const isNew = now - this.#refusedAt[flow] >= REFUSAL_WINDOW;
    const known = isNew ? null : this.#failovers[flow];
    const failover = known ?? new Failover(portal, this.#clients[flow], now);
    this.#failovers[flow] = failover;
    this.#refusedAt[flow] = now;
    return failover.next(target, now);
  }

  /** Before a datagram is sent: gives the flow another endpoint where it needs one. @returns false where it had to go */
  #reconsider(flow: FlowIndex, slot: number): boolean {
    const target = this.#targets[flow] as Target;
    if (target.removed) return this.#leave(flow, slot);
    return this.#heardAt[flow] >= target.failedAt || this.#leaveFailed(flow);
  }

  /**
   * The endpoint is no longer one of the Service's: another has the flow from this datagram on. What came before is
   * still the first one's to answer.
   * @returns false where the flow had to go
   */
  #leave(flow: FlowIndex, slot: number): boolean {
    const { balancer } = this.#portals[flow] as PortalState;
    this.#answeredUpTo[flow] = this.#slotNumber[slot] - 1;
    const other = balancer.pick(this.#clients[flow]);
    if (other !== null) this.#leaveSocket(flow);
    return this.#move(flow, other);
  }

  /**
   * The endpoint has refused another flow since this one last heard of it. That may be all the news there is: Linux refuses
   * six datagrams of one peer, and then one a second. A flow with nowhere else to go stays.
   * @returns false where the flow had to go
   */
  #leaveFailed(flow: FlowIndex): boolean {
    const { balancer } = this.#portals[flow] as PortalState;
    const other = balancer.pickOther(this.#clients[flow], new Set([this.#targets[flow] as Target]));
    return other === null || this.#move(flow, other);
  }

  /** @returns false where the flow had to go, as there is nowhere to move it */
  #move(flow: FlowIndex, target: Target | null): boolean {
    if (target === null) {
      this.#remove(flow);
      return false;
    }
    this.#closeSocket(flow);
    this.#portals[flow]?.count(FIELD.flowsMoved, 1);
    return this.#connectTo(flow, target);
  }

  /** Keeps the flow's socket open for a while, if there are descriptors to spare. */
  #leaveSocket(flow: FlowIndex): void {
    this.#closeLeftSocket(flow);
    if (!this.budget.take(1)) {
      this.#closeSocket(flow);
      return;
    }
    this.#leftSockets.add(flow, this.#fds[flow], this.loop.now);
    this.#fds[flow] = NONE;
  }

  #closeLeftSocket(flow: FlowIndex): void {
    const fd = this.#leftSockets.take(flow);
    if (fd === NONE) return;
    this.loop.forget(fd);
    closeSocket(fd);
    this.budget.give(1);
  }

  #resend(flow: FlowIndex): void {
    const sender = this.#sender;
    sender.clear();
    for (let step = 0; step < RING_SLOTS; step++) {
      const slot = (this.#ring.next + step) % RING_SLOTS;
      if (this.#slotFlow[slot] !== flow) continue;
      if (this.#slotNumber[slot] <= this.#answeredUpTo[flow]) continue;
      if (this.#slotTime[slot] < this.loop.now - RESEND_WINDOW) continue;
      sender.push(this.#ring.payloadAddress(slot), this.#ring.length(slot));
    }
    if (sender.count > 0) sender.sendConnected(this.#fds[flow]);
  }

  #closeSocket(flow: FlowIndex): void {
    const fd = this.#fds[flow];
    if (fd < 0) return;
    this.loop.forget(fd);
    closeSocket(fd);
    this.#fds[flow] = NONE;
  }

  #remove(flow: FlowIndex): void {
    this.#closeSocket(flow);
    this.#closeLeftSocket(flow);
    this.budget.give(1);
    this.#portals[flow]?.count(FIELD.flowsActive, -1);
    this.#portals[flow] = null;
    this.#targets[flow] = null;
    this.#clients[flow] = null;
    this.#batchFirst[flow] = NONE;
    this.#table.remove(flow);
    // What it still has in the ring is not the next owner's of this index.
    for (let slot = 0; slot < RING_SLOTS; slot++) {
      if (this.#slotFlow[slot] === flow) this.#slotFlow[slot] = NONE;
    }
  }
}

/** One bound socket of a UDP portal. */
export class UdpListener implements Watcher {
  constructor(
    readonly relay: UdpRelay,
    readonly fd: number,
    readonly portal: PortalState,
  ) {}

  onReady(): void {
    this.relay.receive(this);
  }

  close(): void {
    this.relay.close(this);
  }
}
