import type { DatagramSender } from '../../../../sys/datagramsender.js';
import type { SocketAddress } from '../../../../sys/sockaddr.js';
import { localAddress } from '../../../../sys/socket.js';
import type { Carrier } from '../carrier.js';
import type { UdpFlow } from '../flow.js';
import type { Stage } from '../flowstages.js';
import type { ClientVip } from '../kernel/clientvip.js';
import type { EndpointSocket } from '../sockets/endpointsocket.js';

/** The owner of a worker's hot carriers. */
export interface HotCarrierOwner {
  /** See {@link Carrier}. */
  send(carrier: HotCarrier, sender: DatagramSender): number;
  goesOn(carrier: HotCarrier): boolean;
  /** See SocketOwner. */
  onSocketReady(carrier: HotCarrier, events: number): number;
  /** The flow is relayed by its socket again. */
  restore(carrier: HotCarrier): void;
  /** The flow has its socket again, and ends or gets another carrier next. */
  leave(carrier: HotCarrier): void;
}

/**
 * Carries a hot flow by an entry in the kernel's table of tracked flows. The endpoint sees the address and
 * port of the socket that carried the flow before. It stays open, so that nobody else takes the port.
 */
export class HotCarrier implements Carrier {
  readonly flow: UdpFlow;
  /** The address and port of the socket. */
  readonly source: SocketAddress;
  /** Its place in the batch of entries that will be committed next. */
  position = 0;
  /** When the kernel took the entry, ms of the loop's clock. */
  enteredAt = 0;
  /** Seconds that the entry had left when the kernel was last asked. */
  timeout = 0;
  readonly #owner: HotCarrierOwner;

  /** @param stage of the flow, until the kernel carries it and after that */
  constructor(
    readonly socket: EndpointSocket,
    readonly vip: ClientVip,
    readonly stage: Stage,
    owner: HotCarrierOwner,
  ) {
    this.flow = socket.flow;
    this.source = localAddress(socket.fd);
    this.#owner = owner;
  }

  get port(): number {
    return this.socket.port;
  }

  send(sender: DatagramSender): number {
    return this.#owner.send(this, sender);
  }

  goesOn(): boolean {
    return this.#owner.goesOn(this);
  }

  onSocketReady(_socket: EndpointSocket, events: number): number {
    return this.#owner.onSocketReady(this, events);
  }

  drain(): void {
    this.#owner.restore(this);
    this.socket.drain();
  }

  retire(): void {
    this.#owner.leave(this);
    this.socket.retire();
  }

  close(): void {
    this.#owner.leave(this);
    this.socket.close();
  }
}
