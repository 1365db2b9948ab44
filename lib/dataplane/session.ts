import { EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP } from '../sys/constants.js';
import { EINPROGRESS, errno, errnoName } from '../sys/errno.js';
import {
  closeSocket,
  connect,
  openStream,
  resetOnClose,
  setKeepAlive,
  setNoDelay,
  takeError,
} from '../sys/socket.js';
import type { ClientKey } from './affinity.js';
import type { Target } from './balancer.js';
import type { Client, ClientSession } from './clients.js';
import { FIELD } from './counters.js';
import type { Watcher } from './loop.js';
import type { PortalState } from './portal.js';
import { Flow, Stream } from './stream.js';
import type { TcpRelay } from './tcp.js';
import type { TimerEntry, TimerList } from './timers.js';

const EVERYTHING = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
const SOURCE_READY = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
const TARGET_READY = EPOLLOUT | EPOLLHUP | EPOLLERR;
const END_NEAR = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

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
  #tried: Target[] | null = null;
  #attempts = 0;
  #endpointFd = -1;
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
  ) {
    this.origin = relay.clients.enter(client, this, relay.loop.now);
    this.#toEndpoint = new Stream(relay.resources, clientFd, -1);
    this.#toClient = new Stream(relay.resources, -1, clientFd);
  }

  /** Starts to connect to an endpoint. */
  start(): void {
    this.#connectTo(this.portal.balancer.pick(this.client));
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

  /** A connect took too long, or the session has lived long enough to need keep-alive. */
  onTimer(): void {
    if (this.#open) setKeepAlive(this.#endpointFd);
    else this.#endpointFailed('no answer in time', true);
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

  #connectTo(target: Target | null): void {
    if (target === null) {
      this.#refuse();
      return;
    }
    this.#target = target;
    this.#attempts++;
    const fd = openStream(target.address.family);
    if (fd < 0) {
      this.relay.descriptorsOut();
      this.#refuse();
      return;
    }
    this.#endpointFd = fd;
    if (connect(fd, target.address) < 0 && errno() !== EINPROGRESS) {
      this.#endpointFailed(errnoName(errno()), false);
      return;
    }
    this.relay.loop.watch(fd, EVERYTHING, this);
    this.relay.startConnectTimer(this, this.#attempts);
  }

  #onConnectEvent(events: number): void {
    if (events & (EPOLLERR | EPOLLHUP)) {
      const code = takeError(this.#endpointFd);
      if (code !== 0) {
        this.#endpointFailed(errnoName(code), false);
        return;
      }
    }
    if (events & EPOLLOUT) this.#onConnected(events);
  }

  #onConnected(events: number): void {
    this.#open = true;
    this.#tried = null;
    this.relay.startKeepAliveTimer(this);
    this.#toEndpoint.target = this.#endpointFd;
    this.#toClient.source = this.#endpointFd;
    this.#toClient.readable = (events & SOURCE_READY) !== 0;
    this.#toClient.endNear = (events & END_NEAR) !== 0;
    this.#toClient.hasUrgent = (events & EPOLLPRI) !== 0;
    // Most clients speak first, so their data is already here: reading at once saves a round through epoll.
    this.#toEndpoint.readable = true;
    this.relay.loop.watch(this.clientFd, EVERYTHING, this);
    this.pump();
  }

  #endpointFailed(reason: string, timedOut: boolean): void {
    const target = this.#target as Target;
    const { portal, relay } = this;
    this.#closeEndpoint();
    portal.count(FIELD.connectFailures, 1);
    portal.balancer.avoid(target);
    if (portal.balancer.unpin(this.client, target)) portal.count(FIELD.pinsMoved, 1);
    relay.reportFailure(portal, target, reason);
    this.#tried ??= [];
    this.#tried.push(target);
    const other = portal.balancer.pickOther(this.client, this.#tried);
    const again = timedOut && relay.hasConnectTimeLeft(this.#attempts) ? target : null;
    this.#connectTo(other ?? again);
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
