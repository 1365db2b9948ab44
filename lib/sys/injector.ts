import { AF_INET6, IPPROTO_RAW, MSG_DONTWAIT, SOCK_RAW } from './constants.js';
import { HEADER_WORDS, IOVEC_LENGTH_WORD, IOVEC_WORDS, NAME_LENGTH_WORD } from './datagrams.js';
import { checked, ENOSYS, errno } from './errno.js';
import { layout, storePointer } from './layout.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';
import { SOCKADDR_IN_SIZE, SOCKADDR_IN6_SIZE, SOCKADDR_SIZE, type SocketAddress } from './sockaddr.js';
import { closeSocket, OPEN_FLAGS, setSendBuffer } from './socket.js';
import { putHeaders } from './udpheaders.js';

/** Packets in one batch. */
const CAPACITY = 64;
/** Bytes. Room for the headers of a datagram, or for a whole TCP SYN. */
const SLOT_SIZE = 128;
/** Bytes. A batch of the longest datagrams fits. */
const SEND_BUFFER_SIZE = CAPACITY * 65536;
const VECTORS = 2;

/**
 * Sends packets whose source is an address of another host, as if they had just come from there (raw(7),
 * IPPROTO_RAW; needs CAP_NET_RAW). They pass OUTPUT and POSTROUTING, not PREROUTING and FORWARD. The entry of
 * their flow in conntrack translates them as it translates the packets of that host. Nothing is allocated
 * for a packet.
 */
export class PacketInjector {
  readonly #fd: number;
  readonly #isV6: boolean;
  readonly #packets = new Memory(CAPACITY * SLOT_SIZE);
  readonly #towards = new Memory(SOCKADDR_SIZE);
  /** Two for each packet: the headers, and the data of a datagram. */
  readonly #vectors = new Memory(CAPACITY * VECTORS * layout.iovec.size);
  readonly #headers = new Memory(CAPACITY * layout.mmsghdr.size);
  /** Keeps the data of the collected datagrams alive. */
  readonly #payloads: Memory[] = [];
  #count = 0;

  private constructor(fd: number, isV6: boolean) {
    this.#fd = fd;
    this.#isV6 = isV6;
    for (let index = 0; index < CAPACITY; index++) this.#prepare(index);
  }

  /** @param family AF_INET or AF_INET6 @throws SysError: EPERM without CAP_NET_RAW */
  static open(family: number): PacketInjector {
    const fd = checked('raw socket', libc.socket(family, SOCK_RAW | OPEN_FLAGS, IPPROTO_RAW));
    setSendBuffer(fd, SEND_BUFFER_SIZE);
    return new PacketInjector(fd, family === AF_INET6);
  }

  #prepare(index: number): void {
    const vector = index * VECTORS * IOVEC_WORDS;
    this.#vectors.setPointer(vector, this.#packets, index * SLOT_SIZE);
    const header = index * HEADER_WORDS;
    const { words } = this.#headers;
    this.#headers.setPointer(header + layout.msghdr.name / 4, this.#towards);
    words[header + NAME_LENGTH_WORD] = this.#isV6 ? SOCKADDR_IN6_SIZE : SOCKADDR_IN_SIZE;
    this.#headers.setPointer(
      header + layout.msghdr.iov / 4,
      this.#vectors,
      index * VECTORS * layout.iovec.size,
    );
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
    const packets = this.#packets;
    const size = putHeaders(packets, index * SLOT_SIZE, client, vip, hops, payload, start, length);
    this.#setVectors(index, size, payload, start, length);
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
    const at = index * SLOT_SIZE;
    for (let byte = 0; byte < length; byte++) this.#packets.bytes[at + byte] = bytes[start + byte];
    this.#setVectors(index, length, null, 0, 0);
  }

  /**
   * Sends what was collected, and forgets it.
   * @param towards where the first route leads: the endpoint. A VIP has no route on many nodes
   * @returns how many the kernel took. If not all: the next one was refused for the reason in `errno`
   *   (EMSGSIZE if it is larger than the MTU of the device; EPERM if a rule dropped it), and those behind it
   *   were not tried
   */
  send(towards: SocketAddress): number {
    this.#towards.bytes.set(towards.memory.bytes);
    // A raw IPv6 socket takes the port for a protocol (ipv6(7)).
    this.#towards.view.setUint16(2, 0);
    const count = this.#count;
    this.#count = 0;
    let sent = 0;
    while (sent < count) {
      const taken = this.#sendFrom(sent, count);
      if (taken <= 0) break;
      sent += taken;
    }
    return sent;
  }

  close(): void {
    closeSocket(this.#fd);
  }

  #sendFrom(from: number, end: number): number {
    const address = this.#headers.address + from * layout.mmsghdr.size;
    const taken = libc.sendmmsg(this.#fd, address, end - from, MSG_DONTWAIT);
    if (taken >= 0 || errno() !== ENOSYS) return taken;
    // A kernel without sendmmsg, or a seccomp filter that does not know it.
    return libc.sendmsg(this.#fd, address, MSG_DONTWAIT) < 0 ? -1 : 1;
  }

  /** @param headerSize bytes of the packet's own slot @param payload null if that is all */
  #setVectors(
    index: number,
    headerSize: number,
    payload: Memory | null,
    start: number,
    length: number,
  ): void {
    const { words } = this.#vectors;
    const vector = index * VECTORS * IOVEC_WORDS;
    words[vector + IOVEC_LENGTH_WORD] = headerSize;
    this.#headers.words[index * HEADER_WORDS + layout.msghdr.iovLength / 4] = payload === null ? 1 : 2;
    if (payload === null) return;
    this.#payloads[index] = payload;
    storePointer(words, vector + IOVEC_WORDS, payload.address + start);
    words[vector + IOVEC_WORDS + IOVEC_LENGTH_WORD] = length;
  }
}
