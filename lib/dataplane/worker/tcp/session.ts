import { peerPort, resetOnClose, setKeepAlive } from '../../../sys/socket.js';
import { FIELD } from '../../shared/counters.js';
import type { ClientKey } from '../clientkey.js';
import type { PinKey } from '../pinkey.js';
import type { ServedPortal } from '../servedportal.js';
import type { OpenSession } from '../sessionlisting.js';
import type { Target } from '../target.js';
import { TimerEntry } from '../timers.js';
import type { Client, ClientSession } from './clients.js';
import { type ConnectingSession, Connector } from './connector.js';
import { Duplex } from './duplex.js';
import type { TcpRelay } from './relay.js';
import { Progress } from './stream.js';

/**
 * One client's connection and its connection to an endpoint. A {@link Connector} finds an endpoint that
 * answers, then a {@link Duplex} carries the data.
 */
export class TcpSession extends TimerEntry implements ConnectingSession, ClientSession, OpenSession {
  clientPrevious: ClientSession | null = null;
  clientNext: ClientSession | null = null;
  usedAt = 0;
  /** The client's address, with all sessions from there. */
  readonly origin: Client;
  /** Whether the session is in the relay's list of unfinished sessions. */
  isQueued = false;

  /** Null after an endpoint has answered. */
  #connector: Connector | null = new Connector(this);
  /** The endpoint that has answered; null until then, like the duplex. */
  #target: Target | null = null;
  #duplex: Duplex | null = null;
  /** See Dialer.lastPort. */
  #localPort = 0;
  #isClosed = false;

  constructor(
    readonly relay: TcpRelay,
    readonly portal: ServedPortal,
    readonly clientFd: number,
    client: ClientKey,
    readonly pinKey: PinKey | null,
    readonly hops: number,
  ) {
    super();
    this.origin = relay.clients.enter(client, this, relay.loop.now);
  }

  /** Starts to connect to an endpoint. */
  start(): void {
    this.#connector?.start();
  }

  get position(): number {
    return this.clientFd;
  }

  get target(): Target | null {
    return this.#connector === null ? this.#target : this.#connector.target;
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

  /** Both descriptors are watched edge-triggered, so epoll reports each change only once. */
  onReady(fd: number, events: number): number {
    if (this.#duplex === null) {
      this.#connector?.onReady(events);
      return 0;
    }
    this.#duplex.note(fd, events);
    this.pump();
    return 0;
  }

  onTimer(): void {
    if (this.#duplex === null) this.#connector?.onTimer();
    else setKeepAlive(this.#duplex.endpointFd);
  }

  connected({ fd, target, localPort }: Connector, events: number): void {
    const { timers, resources } = this.relay;
    this.#connector = null;
    this.#target = target;
    this.#localPort = localPort;
    timers.startKeepAlive(this);
    this.#duplex = new Duplex(resources, this.clientFd, fd, events);
    (target as Target).counts.active++;
    this.pump();
  }

  /** Moves data both ways. Closes if both directions have ended, resets if the connection broke. */
  pump(): void {
    if (this.#isClosed || this.#duplex === null) return;
    this.origin.touch(this, this.relay.loop.now);
    const progress = this.#duplex.pump();
    this.#countBytes(this.#duplex, this.#target as Target);
    if (progress === Progress.Unfinished) this.relay.continueLater(this);
    else if (progress === Progress.Finished) this.close();
    else if (progress === Progress.Broken) this.reset();
  }

  #countBytes(duplex: Duplex, { counts }: Target): void {
    const bytesIn = duplex.takeBytesIn();
    const bytesOut = duplex.takeBytesOut();
    this.portal.count(FIELD.bytesIn, bytesIn);
    this.portal.count(FIELD.bytesOut, bytesOut);
    counts.bytesIn += bytesIn;
    counts.bytesOut += bytesOut;
  }

  /** The client gets a reset, as from a closed port. */
  refuse(): void {
    this.portal.count(FIELD.connectionsRefused, 1);
    this.reset();
  }

  /** Resets both connections. A reset leaves no TIME_WAIT on this node. */
  reset(): void {
    if (this.#duplex !== null) {
      this.portal.count(FIELD.connectionResets, 1);
      resetOnClose(this.#duplex.endpointFd);
    }
    resetOnClose(this.clientFd);
    this.close();
  }

  /** The client has more than its share of descriptors, and other clients wait. */
  evict(): void {
    this.portal.count(FIELD.connectionsEvicted, 1);
    this.reset();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.timerList?.stop(this);
    this.#connector?.close();
    this.#closeEndpoint();
    this.relay.loop.closeUnshared(this.clientFd);
    this.relay.sessionClosed(this);
  }

  #closeEndpoint(): void {
    if (this.#duplex === null) return;
    const { endpointFd, hasEndedFirst } = this.#duplex;
    this.#duplex.release();
    (this.#target as Target).counts.active--;
    this.relay.hangUp(endpointFd, this.#target as Target, this.#localPort, hasEndedFirst);
  }
}
