import { AF_INET6, IPPROTO_RAW, SOCK_RAW } from './constants.js';
import { checked, EMSGSIZE, errno } from './errno.js';
import { Fragments } from './fragments.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';
import { PacketBatch } from './packetbatch.js';
import { SOCKADDR_IN_SIZE, SOCKADDR_IN6_SIZE, SOCKADDR_SIZE, type SocketAddress } from './sockaddr.js';
import { closeSocket, OPEN_FLAGS, setSendBuffer } from './socket.js';
import { putHeaders } from './udpheaders.js';

/** Packets in one batch. */
const CAPACITY = 64;
/** Bytes. Room for the headers of a datagram, or for a whole TCP SYN. */
const SLOT_SIZE = 128;
/** Bytes. A batch of the longest datagrams fits. */
const SEND_BUFFER_SIZE = CAPACITY * 65536;

/**
 * Sends packets whose source is an address of another host, as if they had just come from there (raw(7),
 * IPPROTO_RAW; needs CAP_NET_RAW). They pass OUTPUT and POSTROUTING, not PREROUTING and FORWARD. The entry of
 * their flow in conntrack translates them as it translates the packets of that host. Nothing is allocated
 * for a packet.
 */
export class PacketInjector {
  readonly #fd: number;
  readonly #towards = new Memory(SOCKADDR_SIZE);
  readonly #batch: PacketBatch;
  readonly #fragments: Fragments;
  #count = 0;

  private constructor(fd: number, isV6: boolean) {
    this.#fd = fd;
    const nameLength = isV6 ? SOCKADDR_IN6_SIZE : SOCKADDR_IN_SIZE;
    this.#batch = new PacketBatch(CAPACITY, SLOT_SIZE, this.#towards, nameLength);
    this.#fragments = new Fragments(isV6, this.#towards, nameLength);
  }

  /** @param family AF_INET or AF_INET6 @throws SysError: EPERM without CAP_NET_RAW */
  static open(family: number): PacketInjector {
    const fd = checked('raw socket', libc.socket(family, SOCK_RAW | OPEN_FLAGS, IPPROTO_RAW));
    setSendBuffer(fd, SEND_BUFFER_SIZE);
    return new PacketInjector(fd, family === AF_INET6);
  }

  /** Packets that were collected since the last {@link send}. */
  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === CAPACITY;
  }

  /**
   * Collects a UDP datagram from a client to a VIP. Must not be called when it is full. The data is not
   * copied: it must stay in its place until {@link send}.
   * @param length bytes of data from byte `start` of a block on
   * @param hops how many hops the packet may take, 1 to 255
   */
  pushDatagram(
    client: SocketAddress,
    vip: SocketAddress,
    payload: Memory,
    start: number,
    length: number,
    hops: number,
  ): void {
    const index = this.#count++;
    const batch = this.#batch;
    const at = batch.headAt(index);
    const headSize = putHeaders(batch.heads, at, client, vip, hops, payload, start, length);
    batch.set(index, headSize, payload, start, length);
  }

  /**
   * Collects a packet that was received whole, for example a TCP SYN. It is copied and sent as it is: its
   * checksum still holds. Must not be called when it is full.
   * @param length bytes from byte `start` on, beginning with the IP header; at most 128
   * @throws RangeError above that
   */
  pushPacket(bytes: Uint8Array, start: number, length: number): void {
    if (length > SLOT_SIZE)
      throw new RangeError(`a packet of ${length} bytes; at most ${SLOT_SIZE} can be sent`);
    const index = this.#count++;
    const { bytes: heads } = this.#batch.heads;
    const at = this.#batch.headAt(index);
    for (let byte = 0; byte < length; byte++) heads[at + byte] = bytes[start + byte];
    this.#batch.setHead(index, length);
  }

  /**
   * Sends what was collected, and forgets it. A datagram that is longer than the MTU goes in fragments.
   * @param towards where the first route leads: the endpoint. A VIP has no route on many nodes
   * @returns how many the kernel took. If not all: the next one was refused for the reason in `errno` (EPERM
   *   if a rule dropped it; EMSGSIZE for an MTU below 1,280 bytes), and those behind it were not tried
   */
  send(towards: SocketAddress): number {
    this.#towards.bytes.set(towards.memory.bytes);
    // A raw IPv6 socket takes the port for a protocol (ipv6(7)).
    this.#towards.view.setUint16(2, 0);
    const count = this.#count;
    this.#count = 0;
    let sent = 0;
    while (sent < count) {
      const taken = this.#batch.send(this.#fd, sent, count);
      if (taken > 0) sent += taken;
      else if (errno() === EMSGSIZE && this.#fragments.send(this.#fd, this.#batch, sent)) sent++;
      else break;
    }
    return sent;
  }

  close(): void {
    closeSocket(this.#fd);
  }
}
