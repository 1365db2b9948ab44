import { IPPROTO_UDP } from './constants.js';
import type { Memory } from './memory.js';
import { PacketBatch } from './packetbatch.js';

/**
 * Bytes of the datagram in each fragment, a multiple of 8. With the headers it makes the smallest MTU that
 * IPv6 links have (RFC 8200, 5). The kernel puts the fragments together before it translates the datagram
 * (nf_defrag_ipv4, nf_defrag_ipv6), and divides it again for the device.
 */
const PIECE = 1232;
/** The longest datagram has 65,535 bytes. */
const CAPACITY = Math.ceil(65535 / PIECE);
/** Bytes. */
const SLOT_SIZE = 64;
const IPV4_SIZE = 20;
const IPV6_SIZE = 40;
const UDP_SIZE = 8;
/** RFC 8200, 4.5: next header u8, reserved u8, offset and flag u16, identification u32. */
const FRAGMENT_SIZE = 8;
const IPPROTO_FRAGMENT = 44;
/** "More fragments follow": RFC 791 and RFC 8200. */
const IPV4_MORE = 0x2000;
const IPV6_MORE = 1;

/**
 * Divides datagrams that are longer than an MTU: the kernel does not divide packets of raw sockets (raw(7)).
 * Nothing is copied but the headers.
 */
export class Fragments {
  readonly #batch: PacketBatch;
  readonly #isV6: boolean;
  /** The same in all fragments of a datagram. Zero would let the kernel set it, in each differently. */
  #identification = 1 + Math.floor(Math.random() * 0xfffe);

  /** @param name as that of a {@link PacketBatch} */
  constructor(isV6: boolean, name: Memory, nameLength: number) {
    this.#isV6 = isV6;
    this.#batch = new PacketBatch(CAPACITY, SLOT_SIZE, name, nameLength);
  }

  /**
   * Sends a datagram of a batch, in fragments. Its head is an IP header without options and a UDP header.
   * @returns false with `errno` if the kernel refused one of them: the receiver then gets nothing
   */
  send(fd: number, whole: PacketBatch, index: number): boolean {
    const payload = whole.payloadOf(index);
    if (payload === null) throw new TypeError('a packet without data cannot be divided');
    const size = UDP_SIZE + whole.lengthOf(index);
    let count = 0;
    for (let offset = 0; offset < size; offset += PIECE) {
      const headSize = this.#putHead(count, whole, index, offset, size);
      const skipped = offset === 0 ? 0 : offset - UDP_SIZE;
      const dataEnd = Math.min(offset + PIECE, size) - UDP_SIZE;
      this.#batch.set(count++, headSize, payload, whole.startOf(index) + skipped, dataEnd - skipped);
    }
    this.#identification = (this.#identification % 0xffff) + 1;
    return this.#sendAll(fd, count);
  }

  #sendAll(fd: number, count: number): boolean {
    let sent = 0;
    while (sent < count) {
      const taken = this.#batch.send(fd, sent, count);
      if (taken <= 0) return false;
      sent += taken;
    }
    return true;
  }

  /**
   * Writes the head of the fragment that begins at byte `offset` of the datagram. The first one has the UDP
   * header too.
   * @param size bytes of the datagram with its UDP header
   * @returns bytes of the head
   */
  #putHead(fragment: number, whole: PacketBatch, index: number, offset: number, size: number): number {
    const { heads } = this.#batch;
    const at = this.#batch.headAt(fragment);
    const wholeAt = whole.headAt(index);
    const ipSize = this.#isV6 ? IPV6_SIZE : IPV4_SIZE;
    const pieceSize = Math.min(PIECE, size - offset);
    const hasMore = offset + pieceSize < size;
    copyWords(whole.heads, wholeAt, heads, at, ipSize);
    const end = this.#isV6
      ? this.#divideIPv6(heads.view, at, offset, pieceSize, hasMore)
      : this.#divideIPv4(heads.view, at, offset, pieceSize, hasMore);
    if (offset > 0) return end - at;
    copyWords(whole.heads, wholeAt + ipSize, heads, end, UDP_SIZE);
    return end + UDP_SIZE - at;
  }

  /** Makes an IPv4 header that of a fragment. @returns the byte behind it */
  #divideIPv4(view: DataView, at: number, offset: number, pieceSize: number, hasMore: boolean): number {
    view.setUint16(at + 2, IPV4_SIZE + pieceSize);
    view.setUint16(at + 4, this.#identification);
    view.setUint16(at + 6, (hasMore ? IPV4_MORE : 0) | (offset / 8));
    return at + IPV4_SIZE;
  }

  /** Puts a fragment header behind an IPv6 header. @returns the byte behind both */
  #divideIPv6(view: DataView, at: number, offset: number, pieceSize: number, hasMore: boolean): number {
    view.setUint16(at + 4, FRAGMENT_SIZE + pieceSize);
    view.setUint8(at + 6, IPPROTO_FRAGMENT);
    const header = at + IPV6_SIZE;
    view.setUint16(header, IPPROTO_UDP << 8);
    view.setUint16(header + 2, offset | (hasMore ? IPV6_MORE : 0));
    view.setUint32(header + 4, this.#identification);
    return header + FRAGMENT_SIZE;
  }
}

/** Copies bytes from one block to another. All numbers are multiples of 4. */
function copyWords(from: Memory, fromAt: number, to: Memory, toAt: number, size: number): void {
  for (let byte = 0; byte < size; byte += 4) to.words[(toAt + byte) / 4] = from.words[(fromAt + byte) / 4];
}
