import { IP_PROTOCOL, PacketHeaders } from '../../../../net/packet.js';
import type { PacketQueue } from '../../../../sys/netlink/packetqueue.js';
import { SocketAddress } from '../../../../sys/sockaddr.js';
import { replaceDestination } from '../../../../sys/udpheaders.js';
import type { Ends } from '../../kernel/endskeys.js';

/** A first datagram that waits for a verdict. One object reads one after another, and allocates nothing. */
export class QueuedDatagram implements Ends {
  readonly client = new SocketAddress();
  readonly vip = new SocketAddress();
  readonly #headers = new PacketHeaders();

  /**
   * Reads a datagram.
   * @returns false for what cannot get another destination here: a datagram that the queue has cut, or a run
   *   that a device will divide
   */
  read(queue: PacketQueue, index: number): boolean {
    const headers = this.#headers;
    if (!headers.read(queue.view, queue.startOf(index), queue.lengthOf(index))) return false;
    if (headers.protocol !== IP_PROTOCOL.udp || !headers.isWhole || queue.isRun(index)) return false;
    this.client.setBytes(queue.bytes, headers.sourceAt, headers.isV6, headers.sourcePort);
    this.vip.setBytes(queue.bytes, headers.destinationAt, headers.isV6, headers.destinationPort);
    return true;
  }

  get isV6(): boolean {
    return this.#headers.isV6;
  }

  /** How many hops the datagram has left. */
  get hops(): number {
    return this.#headers.hops;
  }

  /** Byte of the queue's memory where the data begins. */
  get dataAt(): number {
    return this.#headers.payloadAt;
  }

  /** Bytes of data. */
  get dataLength(): number {
    return this.#headers.end - this.#headers.payloadAt;
  }

  /** Gives the datagram that was read last another destination. */
  leadTo(endpoint: SocketAddress, queue: PacketQueue, index: number): void {
    replaceDestination(queue.memory, this.#headers, endpoint, queue.hasChecksum(index));
  }
}
