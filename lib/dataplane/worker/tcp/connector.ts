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
import { resetOnClose, takeError } from '../../../sys/socket.js';
import { Blame, blameForConnect } from '../blame.js';
import { Failover } from '../failover.js';
import type { Watcher } from '../loop.js';
import type { PinKey } from '../pinkey.js';
import type { ServedPortal } from '../servedportal.js';
import type { Target } from '../target.js';
import type { TimerEntry } from '../timers.js';
import type { TcpRelay } from './relay.js';

const ALL_EVENTS = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;

/** A session asks this often for what the node is short of, then it gives up: after 8 s. */
const MAX_WAITS = 80;

/** The session that needs an endpoint. It gets the events of the descriptors and of the timer. */
export interface ConnectingSession extends Watcher, TimerEntry {
  readonly relay: TcpRelay;
  readonly portal: ServedPortal;
  readonly pinKey: PinKey | null;
  readonly clientFd: number;
  readonly hops: number;
  /**
   * An endpoint has answered. The session takes over what the connector has of it.
   * @param events of the endpoint's descriptor, as epoll reported them
   */
  connected(connector: Connector, events: number): void;
  /** No endpoint can be reached. */
  refuse(): void;
  /** The client has left. */
  close(): void;
}

/**
 * Connects one session to an endpoint, and owns the endpoint's descriptor until an endpoint has answered.
 * The client does not notice when an endpoint fails before: the next one is tried. A session that has an
 * endpoint drops its connector, so an idle connection does not hold it in memory.
 */
export class Connector {
  /** -1 while there is no connection to an endpoint. */
  fd = -1;
  /** Null until an endpoint has been chosen. */
  target: Target | null = null;
  /** See Dialer.lastPort. */
  localPort = 0;
  readonly #session: ConnectingSession;
  /** Null until an endpoint has failed. */
  #failover: Failover | null = null;
  #attempts = 0;
  #waits = 0;

  constructor(session: ConnectingSession) {
    this.#session = session;
  }

  /** Chooses an endpoint and starts to connect. */
  start(): void {
    const { portal, pinKey } = this.#session;
    this.#connect(portal.balancer.pick(pinKey));
  }

  /** The endpoint's descriptor has events, and no endpoint has answered before. */
  onReady(events: number): void {
    const code = events & (EPOLLERR | EPOLLHUP) ? takeError(this.fd) : 0;
    if (code !== 0) this.#connectFailed(this.target as Target, code);
    else if (events & EPOLLOUT) this.#onConnected(events);
  }

  /** A connect took too long, or it is time to ask again for what the node is short of. */
  onTimer(): void {
    if (this.fd < 0) this.start();
    else this.#giveUpWaiting(this.target as Target);
  }

  /** Closes the endpoint's descriptor if there is one. */
  close(): void {
    if (this.fd < 0) return;
    this.#session.relay.hangUp(this.fd, this.target as Target, this.localPort, false);
    this.fd = -1;
  }

  /** Tries one endpoint after the other until the kernel has begun a connect. */
  #connect(first: Target | null): void {
    const session = this.#session;
    let target = first;
    while (target !== null) {
      if (this.#attempts > 0 && this.#isClientGone()) {
        session.close();
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
    session.refuse();
  }

  /**
   * Whether the client has reset the connection. The client's descriptor is watched only after an endpoint
   * has answered: most endpoints answer at once, and then the earlier call would be wasted. An end of the
   * client's data means nothing: the client may still wait for an answer.
   */
  #isClientGone(): boolean {
    return takeError(this.#session.clientFd) !== 0;
  }

  /** @returns 0 when the connect has begun, else the errno */
  #tryToReach(target: Target): number {
    const session = this.#session;
    const { dialer, loop, timers } = session.relay;
    this.#attempts++;
    const fd = dialer.dial(target, session.hops);
    if (fd < 0) return -fd;
    this.target = target;
    this.fd = fd;
    this.localPort = dialer.lastPort;
    target.counts.total++;
    if (!loop.watch(fd, ALL_EVENTS, session)) return errno();
    timers.startConnect(session, this.#attempts);
    return 0;
  }

  #connectFailed(target: Target, code: number): void {
    if (blameForConnect(code) === Blame.Node) this.#waitForNode(target, code);
    else this.#connect(this.#endpointFailed(target, errnoName(code)));
  }

  /** This node is short of ports, descriptors or memory. They may come free, so no endpoint is blamed. */
  #waitForNode(target: Target, code: number): void {
    const session = this.#session;
    const { relay, portal } = session;
    this.close();
    relay.reportNodeFailure(portal, target, code);
    if (this.#waits++ < MAX_WAITS) relay.timers.startWait(session);
    else session.refuse();
  }

  #onConnected(events: number): void {
    const session = this.#session;
    if (!session.relay.loop.watch(session.clientFd, ALL_EVENTS, session)) {
      const code = errno();
      resetOnClose(this.fd);
      this.#waitForNode(this.target as Target, code);
      return;
    }
    session.connected(this, events);
  }

  /** After a silent endpoint another one is tried. If there is no other, the same one gets more time. */
  #giveUpWaiting(target: Target): void {
    const other = this.#endpointFailed(target, 'no answer in time');
    const again = this.#session.relay.timers.hasConnectTimeLeft(this.#attempts) ? target : null;
    this.#connect(other ?? again);
  }

  /** @returns the endpoint to try next, or null */
  #endpointFailed(target: Target, reason: string): Target | null {
    const { portal, pinKey, relay } = this.#session;
    const { now } = relay.loop;
    this.close();
    this.#failover ??= new Failover(portal, pinKey, now, relay.report);
    const other = this.#failover.next(target, reason, now);
    if (other !== null) target.counts.moved++;
    return other;
  }
}
