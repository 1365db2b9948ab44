import { EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP } from '../sys/constants.js';
import { errno, errnoName } from '../sys/errno.js';
import { closeSocket, resetOnClose, setKeepAlive, setNoDelay, takeError } from '../sys/socket.js';
import type { ClientKey } from './affinity.js';
import type { Target } from './balancer.js';
import { Blame, blameForConnect } from './blame.js';
import type { Client, ClientSession } from './clients.js';
import { FIELD } from './counters.js';
import { Failover } from './failover.js';
import type { Watcher } from './loop.js';
import type { PortalState } from './portal.js';
import { Flow, Stream } from './stream.js';
import type { TcpRelay } from './tcp.js';
import type { TimerEntry, TimerList } from './timers.js';

const EVERYTHING = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
const SOURCE_READY = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
const TARGET_READY = EPOLLOUT | EPOLLHUP | EPOLLERR;
const END_NEAR = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/** How often a session asks again for what this node is short of before it gives up: 8 s. */
const MOST_WAITS = 80;

/**
 * One client connection and its connection to an endpoint. While no endpoint has answered, failing ones are
 * changed behind the client's back; afterwards two {@link Stream}s carry the data.
 */
export class TcpSession implements Watcher, TimerEntry, ClientSession {
  timerPrevious: TimerEntry | null = null;
  timerNext: TimerEntry | null = null;
  timerDeadline = 0;
  timerList: TimerList | null = null;
  clientPrevious: ClientSession | null = null;
  clientNext: ClientSession | null = null;
  usedAt = 0;
  /** Who opened it, with all sessions of the same address. */
  readonly origin: Client;
  /** In the relay's queue of sessions with work left over. */
  queued = false;

  readonly #toEndpoint: Stream;
  readonly #toClient: Stream;
  #target: Target | null = null;
  /** From the first endpoint that failed to the one that answers. */
  #failover: Failover | null = null;
  #attempts = 0;
  #waits = 0;
  #endpointFd = -1;
  /** See Dialer.port. */
  #localPort = 0;
  #open = false;
  /** One side was reset, or timed out. */
  #broken = false;
  #closed = false;
  #noDelay = false;

  constructor(
    readonly relay: TcpRelay,
    readonly portal: PortalState,
    readonly clientFd: number,
    readonly client: ClientKey,
    readonly hops: number,
  ) {
    this.origin = relay.clients.enter(client, this, relay.loop.now);
    this.#toEndpoint = new Stream(relay.resources, clientFd, -1);
    this.#toClient = new Stream(relay.resources, -1, clientFd);
  }

  /** Starts to connect to an endpoint. */
  start(): void {
    this.#connect(this.portal.balancer.pick(this.client));
  }

  onReady(fd: number, events: number): void {
    if (!this.#open) {
      this.#onConnectEvent(events);
      return;
    }
    const isClient = fd === this.clientFd;
    const out = isClient ? this.#toEndpoint : this.#toClient;
    const back = isClient ? this.#toClient : this.#toEndpoint;
    if (events & SOURCE_READY) out.readable = true;
    if (events & END_NEAR) out.endNear = true;
    if (events & EPOLLPRI) out.hasUrgent = true;
    if (events & TARGET_READY) back.writable = true;
    // Reading would not tell where that direction has ended, or waits for the other side to take what it has.
    if (events & EPOLLERR) this.#breakOff();
    this.pump();
  }

  /** A connect took too long or is due again, or the session has lived long enough to need keep-alive. */
  onTimer(): void {
    if (this.#open) setKeepAlive(this.#endpointFd);
    else if (this.#endpointFd < 0) this.start();
    else this.#giveUpWaiting(this.#target as Target);
  }

  /** Moves data both ways; closes when both directions have ended, resets when one broke. */
  pump(): void {
    if (this.#closed) return;
    this.origin.touch(this, this.relay.loop.now);
    const out = this.#toEndpoint.pump();
    this.#toClient.isLast = this.#toEndpoint.finished;
    const back = this.#toClient.pump();
    this.#toEndpoint.isLast = this.#toClient.finished;
    this.#count();
    if (!this.#broken && (out === Flow.Broken || back === Flow.Broken)) {
      this.#breakOff();
      this.relay.continueLater(this);
    } else if (out === Flow.Unfinished || back === Flow.Unfinished) {
      this.relay.continueLater(this);
    } else if (this.#broken) {
      this.reset();
    } else if (out === Flow.Finished && back === Flow.Finished) {
      this.#close();
    } else {
      this.#settle();
    }
  }

  /**
   * One side is gone. What it said last may still be in its socket (an endpoint that answers and closes without reading
   * everything resets too): it is delivered as far as the other side takes it at once, and then the reset follows.
   */
  #breakOff(): void {
    this.#broken = true;
    for (const stream of [this.#toEndpoint, this.#toClient]) {
      stream.cutOff = true;
      stream.readable = true;
    }
  }

  /** Nagle's algorithm cannot hold back a first write, so short connections are spared the call. */
  #settle(): void {
    if (this.#noDelay || this.#toEndpoint.writes < 2) return;
    this.#noDelay = true;
    setNoDelay(this.#endpointFd);
  }

  /** Starts to connect to an endpoint, and to the next where the kernel says at once that it cannot be. */
  #connect(first: Target | null): void {
    let target = first;
    while (target !== null) {
      if (this.#attempts > 0 && this.#isClientGone()) {
        this.#close();
        return;
      }
      const code = this.#tryToReach(target);
      if (code === 0) return;
      if (blameForConnect(code) === Blame.Node) {
        this.#waitForNode(target, code);
        return;
      }
      target = this.#endpointFailed(target, errnoName(code));
    }
    this.#refuse();
  }

  /**
   * Whether the client's reset has come. Its descriptor is watched only once an endpoint answers, which saves a call for each
   * connection that is answered at once. An end alone says nothing: the client may still wait for an answer.
   */
  #isClientGone(): boolean {
    return takeError(this.clientFd) !== 0;
  }

  /** @returns 0 once the connect is under way, or the error */
  #tryToReach(target: Target): number {
    const { dialer, loop } = this.relay;
    this.#attempts++;
    const fd = dialer.dial(target, this.hops);
    if (fd < 0) return -fd;
    this.#target = target;
    this.#endpointFd = fd;
    this.#localPort = dialer.port;
    if (!loop.watch(fd, EVERYTHING, this)) return errno();
    this.relay.startConnectTimer(this, this.#attempts);
    return 0;
  }

  #onConnectEvent(events: number): void {
    const code = events & (EPOLLERR | EPOLLHUP) ? takeError(this.#endpointFd) : 0;
    if (code !== 0) this.#connectFailed(this.#target as Target, code);
    else if (events & EPOLLOUT) this.#onConnected(events);
  }

  #connectFailed(target: Target, code: number): void {
    if (blameForConnect(code) === Blame.Node) this.#waitForNode(target, code);
    else this.#connect(this.#endpointFailed(target, errnoName(code)));
  }

  /** This node is short of something, which may come free: ports, descriptors, memory. Nobody is blamed. */
  #waitForNode(target: Target, code: number): void {
    this.#closeEndpoint();
    this.relay.reportNodeFailure(this.portal, target, code);
    if (this.#waits++ < MOST_WAITS) this.relay.startWaitTimer(this);
    else this.#refuse();
  }

  #onConnected(events: number): void {
    if (!this.relay.loop.watch(this.clientFd, EVERYTHING, this)) {
      const code = errno();
      resetOnClose(this.#endpointFd);
      this.#waitForNode(this.#target as Target, code);
      return;
    }
    this.#open = true;
    this.#failover = null;
    this.relay.startKeepAliveTimer(this);
    this.#toEndpoint.target = this.#endpointFd;
    this.#toClient.source = this.#endpointFd;
    this.#toClient.readable = (events & SOURCE_READY) !== 0;
    this.#toClient.endNear = (events & END_NEAR) !== 0;
    this.#toClient.hasUrgent = (events & EPOLLPRI) !== 0;
    // Most clients speak first, so their data is already here: reading at once saves a round through epoll.
    this.#toEndpoint.readable = true;
    this.pump();
  }

  /** Another endpoint is tried after a silent one, or the same with more patience where there is no other. */
  #giveUpWaiting(target: Target): void {
    const other = this.#endpointFailed(target, 'no answer in time');
    const again = this.relay.hasConnectTimeLeft(this.#attempts) ? target : null;
    this.#connect(other ?? again);
  }

  #endpointFailed(target: Target, reason: string): Target | null {
    const { portal, relay, client } = this;
    const { now } = relay.loop;
    this.#closeEndpoint();
    portal.blame(target, client);
    relay.reportFailure(portal, target, reason);
    this.#failover ??= new Failover(portal, client, now);
    return this.#failover.next(target, now);
  }

  /** No endpoint answered: the client sees the reset that a closed port would give. */
  #refuse(): void {
    this.portal.count(FIELD.connectionsRefused, 1);
    this.reset();
  }

  #count(): void {
    this.portal.count(FIELD.bytesIn, this.#toEndpoint.moved);
    this.portal.count(FIELD.bytesOut, this.#toClient.moved);
    this.#toEndpoint.moved = 0;
    this.#toClient.moved = 0;
  }

  #closeEndpoint(): void {
    if (this.#endpointFd < 0) return;
    this.relay.loop.forget(this.#endpointFd);
    closeSocket(this.#endpointFd);
    this.#endpointFd = -1;
    this.relay.dialer.hungUp(this.#target as Target, this.#localPort, this.#toEndpoint.isFirst);
  }

  /** A reset on either side travels as a reset; it also leaves no TIME_WAIT behind. */
  reset(): void {
    if (this.#open) {
      this.portal.count(FIELD.connectionResets, 1);
      resetOnClose(this.#endpointFd);
    }
    resetOnClose(this.clientFd);
    this.#close();
  }

  /** Its client has more than its share, and others wait. */
  evict(): void {
    this.portal.count(FIELD.connectionsEvicted, 1);
    this.reset();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.timerList?.stop(this);
    this.#toEndpoint.release();
    this.#toClient.release();
    this.#closeEndpoint();
    this.relay.loop.forget(this.clientFd);
    closeSocket(this.clientFd);
    this.relay.sessionClosed(this);
  }
}
