import {
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
  EPOLLRDHUP,
} from '../../../sys/constants.js';
import { errno, errnoName } from '../../../sys/errno.js';
import { peerPort, resetOnClose, setKeepAlive, takeError } from '../../../sys/socket.js';
import { FIELD } from '../../shared/counters.js';
import { Blame, blameForConnect } from '../blame.js';
import type { ClientKey } from '../clientkey.js';
import { Failover } from '../failover.js';
import type { Watcher } from '../loop.js';
import type { PinKey } from '../pinkey.js';
import type { ServedPortal } from '../servedportal.js';
import type { OpenSession } from '../sessionlisting.js';
import type { Target } from '../target.js';
import type { TimerEntry, TimerList } from '../timers.js';
import type { Client, ClientSession } from './clients.js';
import { Duplex } from './duplex.js';
import type { TcpRelay } from './relay.js';
import { Progress } from './stream.js';

const EVERYTHING = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;

/** How often a session asks again for what this node is short of before it gives up: 8 s. */
const MOST_WAITS = 80;

/**
 * One client connection and its connection to an endpoint. While no endpoint has answered, failing ones are
 * changed behind the client's back; afterwards a {@link Duplex} carries the data.
 */
export class TcpSession implements Watcher, TimerEntry, ClientSession, OpenSession {
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

  /** Null until an endpoint has answered. */
  #duplex: Duplex | null = null;
  #target: Target | null = null;
  /** From the first endpoint that failed to the one that answers. */
  #failover: Failover | null = null;
  #attempts = 0;
  #waits = 0;
  #endpointFd = -1;
  /** See Dialer.port. */
  #localPort = 0;
  #closed = false;

  constructor(
    readonly relay: TcpRelay,
    readonly portal: ServedPortal,
    readonly clientFd: number,
    client: ClientKey,
    readonly pinKey: PinKey | null,
    readonly hops: number,
  ) {
    this.origin = relay.clients.enter(client, this, relay.loop.now);
  }

  /** Starts to connect to an endpoint. */
  start(): void {
    this.#connect(this.portal.balancer.pick(this.pinKey));
  }

  get at(): number {
    return this.clientFd;
  }

  get target(): Target | null {
    return this.#target;
  }

  get state(): 'connecting' | 'open' {
    return this.#duplex === null ? 'connecting' : 'open';
  }

  get client(): ClientKey {
    return this.origin.key;
  }

  get clientPort(): number {
    return peerPort(this.clientFd);
  }

  get owner(): string {
    return this.portal.key;
  }

  /** Both descriptors are watched edge-triggered, so that nothing is said twice. */
  onReady(fd: number, events: number): number {
    if (this.#duplex === null) {
      this.#onConnectEvent(events);
      return 0;
    }
    this.#duplex.note(fd, events);
    this.pump();
    return 0;
  }

  /** A connect took too long or is due again, or the session has lived long enough to need keep-alive. */
  onTimer(): void {
    if (this.#duplex !== null) setKeepAlive(this.#endpointFd);
    else if (this.#endpointFd < 0) this.start();
    else this.#giveUpWaiting(this.#target as Target);
  }

  /** Moves data both ways; closes when both directions have ended, resets when one broke. */
  pump(): void {
    if (this.#closed || this.#duplex === null) return;
    this.origin.touch(this, this.relay.loop.now);
    const progress = this.#duplex.pump();
    this.portal.count(FIELD.bytesIn, this.#duplex.takeBytesIn());
    this.portal.count(FIELD.bytesOut, this.#duplex.takeBytesOut());
    if (progress === Progress.Unfinished) this.relay.continueLater(this);
    else if (progress === Progress.Finished) this.#close();
    else if (progress === Progress.Broken) this.reset();
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
   * Whether the client's reset has come. Its descriptor is watched only once an endpoint answers, which saves
   * a call for each connection that is answered at once. An end alone says nothing: the client may still wait
   * for an answer.
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
    this.relay.timers.startConnect(this, this.#attempts);
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
    if (this.#waits++ < MOST_WAITS) this.relay.timers.startWait(this);
    else this.#refuse();
  }

  #onConnected(events: number): void {
    if (!this.relay.loop.watch(this.clientFd, EVERYTHING, this)) {
      const code = errno();
      resetOnClose(this.#endpointFd);
      this.#waitForNode(this.#target as Target, code);
      return;
    }
    this.#failover = null;
    this.relay.timers.startKeepAlive(this);
    this.#duplex = new Duplex(this.relay.resources, this.clientFd, this.#endpointFd, events);
    this.pump();
  }

  /** Another endpoint is tried after a silent one, or the same with more patience where there is no other. */
  #giveUpWaiting(target: Target): void {
    const other = this.#endpointFailed(target, 'no answer in time');
    const again = this.relay.timers.hasConnectTimeLeft(this.#attempts) ? target : null;
    this.#connect(other ?? again);
  }

  #endpointFailed(target: Target, reason: string): Target | null {
    const { portal, pinKey, relay } = this;
    const { now } = relay.loop;
    this.#closeEndpoint();
    this.#failover ??= new Failover(portal, pinKey, now, relay.report);
    return this.#failover.next(target, reason, now);
  }

  /** No endpoint answered: the client sees the reset that a closed port would give. */
  #refuse(): void {
    this.portal.count(FIELD.connectionsRefused, 1);
    this.reset();
  }

  #closeEndpoint(): void {
    if (this.#endpointFd < 0) return;
    this.relay.loop.closeUnshared(this.#endpointFd);
    this.#endpointFd = -1;
    this.relay.dialer.hungUp(this.#target as Target, this.#localPort, this.#duplex?.hasEndedFirst ?? false);
  }

  /** A reset on either side travels as a reset; it also leaves no TIME_WAIT behind. */
  reset(): void {
    if (this.#duplex !== null) {
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
    this.#duplex?.release();
    this.#closeEndpoint();
    this.relay.loop.closeUnshared(this.clientFd);
    this.relay.sessionClosed(this);
  }
}
