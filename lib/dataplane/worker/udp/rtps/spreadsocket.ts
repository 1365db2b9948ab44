import { AF_INET, AF_INET6 } from '../../../../sys/constants.js';
import type { DatagramSender } from '../../../../sys/datagramsender.js';
import { errno } from '../../../../sys/errno.js';
import { keepErrors } from '../../../../sys/errorqueue.js';
import { setHops } from '../../../../sys/hoplimit.js';
import { localAddress, openDatagram, setReceiveBuffer, setSendBuffer } from '../../../../sys/socket.js';
import { UDP_BUFFER_SIZE } from '../../../shared/udpbuffer.js';
import type { Watcher } from '../../loop.js';
import type { Carrier } from '../carrier.js';
import type { UdpFlow } from '../flow.js';
import type { RtpsRouter } from './router.js';

/** The owner of a worker's spread sockets. */
export interface SpreadSocketOwner {
  /** Sends each collected datagram to its endpoints. */
  spread(socket: SpreadSocket, sender: DatagramSender): void;
  /** See SocketOwner.onSocketReady. */
  onSocketReady(socket: SpreadSocket, events: number): number;
  drain(socket: SpreadSocket): void;
  close(socket: SpreadSocket): void;
}

/**
 * A flow's only socket towards all endpoints of its Service. It is not connected, and the kernel gives it a
 * local port that no other socket has.
 */
export class SpreadSocket implements Watcher, Carrier {
  readonly #sockets: SpreadSocketOwner;
  readonly #family: number;
  #hops: number;

  private constructor(
    readonly fd: number,
    readonly flow: UdpFlow,
    readonly router: RtpsRouter,
    family: number,
    sockets: SpreadSocketOwner,
  ) {
    this.#sockets = sockets;
    this.#family = family;
    this.#hops = flow.hops;
    keepErrors(fd, family);
    setHops(fd, family, flow.hops);
    setReceiveBuffer(fd, UDP_BUFFER_SIZE);
    setSendBuffer(fd, UDP_BUFFER_SIZE);
  }

  /** Opens a socket. The loop does not watch it yet. @returns the socket or the errno */
  static open(flow: UdpFlow, router: RtpsRouter, sockets: SpreadSocketOwner): SpreadSocket | number {
    const family = flow.portal.isV6 ? AF_INET6 : AF_INET;
    const fd = openDatagram(family);
    return fd < 0 ? errno() : new SpreadSocket(fd, flow, router, family, sockets);
  }

  get owner(): string {
    return this.flow.portal.key;
  }

  get port(): number {
    return localAddress(this.fd).port;
  }

  onReady(_fd: number, events: number): number {
    return this.#sockets.onSocketReady(this, events);
  }

  /** Counts unsent datagrams as dropped. The flow goes on in any case. @returns how many there were */
  send(sender: DatagramSender): number {
    if (this.#hops !== this.flow.hops) {
      this.#hops = this.flow.hops;
      setHops(this.fd, this.#family, this.#hops);
    }
    this.#sockets.spread(this, sender);
    return sender.count;
  }

  drain(): void {
    this.#sockets.drain(this);
  }

  /** The Service has another policy now. Answers that are under way are lost. */
  retire(): void {
    this.close();
  }

  close(): void {
    this.flow.carrier = null;
    this.#sockets.close(this);
  }
}
