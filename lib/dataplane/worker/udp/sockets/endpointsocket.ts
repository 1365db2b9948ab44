import type { DatagramSender } from '../../../../sys/datagramsender.js';
import { EADDRINUSE, EADDRNOTAVAIL, errno } from '../../../../sys/errno.js';
import { keepErrors } from '../../../../sys/errorqueue.js';
import { setHops } from '../../../../sys/hoplimit.js';
import {
  bindShared,
  closeSocket,
  connect,
  openDatagram,
  setReceiveBuffer,
  setSendBuffer,
} from '../../../../sys/socket.js';
import { UDP_BUFFER_SIZE } from '../../../shared/udpbuffer.js';
import type { EventLoop, Watcher } from '../../loop.js';
import type { Target } from '../../target.js';
import type { Carrier } from '../carrier.js';
import type { UdpFlow } from '../flow.js';
import type { EndpointPorts, LocalPorts } from './localports.js';

/** This many local ports are tried, then the socket cannot be opened. */
const MAX_PORT_TRIES = 128;

/** The owner of a worker's sockets towards endpoints. */
export interface SocketOwner {
  readonly loop: EventLoop;
  readonly localPorts: LocalPorts<EndpointSocket>;
  /**
   * A port is in use. Closes its holder if the holder can be given up.
   * @returns whether it has closed the holder
   */
  giveUp(holder: EndpointSocket): boolean;
  /**
   * A socket has replies, errors or both.
   * @param events as epoll reported them
   * @returns 0, or the errno if the socket had neither
   */
  onSocketReady(socket: EndpointSocket, events: number): number;
  /** See {@link Carrier}. */
  drain(socket: EndpointSocket): void;
  retire(socket: EndpointSocket): void;
  /** The socket was closed. */
  closed(socket: EndpointSocket): void;
}

/** A flow's connected socket towards an endpoint, with its local port. */
export class EndpointSocket implements Watcher, Carrier {
  readonly #sockets: SocketOwner;
  /** Who gets what comes while the kernel carries the flow. Null: the owner. */
  receiver: Pick<SocketOwner, 'onSocketReady'> | null = null;
  #isUsed = false;
  #hasBigSendBuffer = false;
  #hops: number;

  private constructor(
    readonly fd: number,
    readonly flow: UdpFlow,
    readonly target: Target,
    readonly port: number,
    readonly ports: EndpointPorts<EndpointSocket>,
    sockets: SocketOwner,
  ) {
    this.#sockets = sockets;
    this.#hops = flow.hops;
  }

  /**
   * Opens a socket to the flow's endpoint. The loop does not watch it yet.
   * @returns the socket or the errno; EADDRNOTAVAIL if no local port is free
   */
  static open(flow: UdpFlow, sockets: SocketOwner): EndpointSocket | number {
    const { target } = flow;
    const { address } = target;
    const fd = openDatagram(address.family);
    if (fd < 0) return errno();
    const ports = sockets.localPorts.towards(target.name);
    const port = bindTo(fd, address.family, ports, sockets);
    const code = port < 0 ? -port : connect(fd, address) < 0 ? errno() : 0;
    if (code !== 0) {
      closeSocket(fd);
      return code;
    }
    keepErrors(fd, address.family);
    setHops(fd, address.family, flow.hops);
    setReceiveBuffer(fd, UDP_BUFFER_SIZE);
    const socket = new EndpointSocket(fd, flow, target, port, ports, sockets);
    ports.take(port, socket);
    return socket;
  }

  get owner(): string {
    return this.flow.portal.key;
  }

  onReady(_fd: number, events: number): number {
    return (this.receiver ?? this.#sockets).onSocketReady(this, events);
  }

  send(sender: DatagramSender): number {
    this.#followHops();
    this.#makeRoomFor(sender.count);
    return sender.sendConnected(this.fd);
  }

  drain(): void {
    this.#sockets.drain(this);
  }

  retire(): void {
    this.#sockets.retire(this);
  }

  close(): void {
    this.ports.give(this.port);
    this.#sockets.loop.closeUnshared(this.fd);
    this.#sockets.closed(this);
  }

  /** Sets the hop limit to the flow's hops. Nearly always they are the same as before. */
  #followHops(): void {
    if (this.#hops === this.flow.hops) return;
    this.#hops = this.flow.hops;
    setHops(this.fd, this.target.address.family, this.#hops);
  }

  /** Bursts need a big send buffer. A look-up is one datagram, and saves the system call. */
  #makeRoomFor(datagrams: number): void {
    if (this.#hasBigSendBuffer) return;
    this.#hasBigSendBuffer = this.#isUsed || datagrams > 1;
    this.#isUsed = true;
    if (this.#hasBigSendBuffer) setSendBuffer(this.fd, UDP_BUFFER_SIZE);
  }
}

/** @returns the port, or a negative errno */
function bindTo(
  fd: number,
  family: number,
  ports: EndpointPorts<EndpointSocket>,
  owner: SocketOwner,
): number {
  for (let tries = 0; tries < MAX_PORT_TRIES; tries++) {
    const port = ports.next();
    const holder = ports.holder(port);
    if (holder !== undefined && !owner.giveUp(holder)) continue;
    if (bindShared(fd, family, port) === 0) return port;
    const code = errno();
    if (code !== EADDRINUSE) return -code;
  }
  return -EADDRNOTAVAIL;
}
