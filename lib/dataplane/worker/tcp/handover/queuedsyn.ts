import { IP_PROTOCOL, PacketHeaders, TCP_FLAG } from '../../../../net/packet.js';
import type { PacketQueue } from '../../../../sys/netlink/packetqueue.js';
import { SocketAddress } from '../../../../sys/sockaddr.js';
import type { Ends } from '../../kernel/endskeys.js';

const FLAGS = TCP_FLAG.fin | TCP_FLAG.syn | TCP_FLAG.reset | TCP_FLAG.ack;

/** A SYN that waits for a verdict. One object reads SYN after SYN, and allocates nothing. */
export class QueuedSyn implements Ends {
  readonly client = new SocketAddress();
  readonly vip = new SocketAddress();
  isV6 = false;
  sequence = 0;
  /** See PacketQueue.inputDeviceOf. */
  inputDevice = 0;
  /** The memory that has the packet, until the queue receives again. */
  bytes: Uint8Array = new Uint8Array();
  start = 0;
  length = 0;
  /** Whether all bytes of the packet are there. */
  isWhole = false;
  readonly #headers = new PacketHeaders();

  /** @returns false for what is no SYN of TCP, or cannot be read */
  read(queue: PacketQueue, index: number): boolean {
    const headers = this.#headers;
    const start = queue.startOf(index);
    if (!headers.read(queue.view, start, queue.lengthOf(index))) return false;
    if (headers.protocol !== IP_PROTOCOL.tcp || (headers.tcpFlags & FLAGS) !== TCP_FLAG.syn) return false;
    this.bytes = queue.bytes;
    this.isV6 = headers.isV6;
    this.client.setBytes(this.bytes, headers.sourceAt, headers.isV6, headers.sourcePort);
    this.vip.setBytes(this.bytes, headers.destinationAt, headers.isV6, headers.destinationPort);
    this.sequence = headers.sequence;
    this.inputDevice = queue.inputDeviceOf(index);
    this.start = start;
    this.length = headers.end - start;
    this.isWhole = headers.isWhole;
    return true;
  }
}
