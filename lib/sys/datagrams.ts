import {
  IP_PKTINFO,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  IPV6_PKTINFO,
  MSG_DONTWAIT,
  UDP_SEGMENT,
} from './constants.js';
import { ENOSYS, errno } from './errno.js';
import { cmsgSpace, layout } from './layout.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';
import { SOCKADDR_SIZE } from './sockaddr.js';

/**
 * The largest UDP payload, 65,527 bytes with IPv6, must fit: a datagram cut short would be a lost one (Cyclone DDS sends
 * 14.7 KB). The odd 192 bytes keep the slots from starting in the same cache set.
 */
const SLOT_SIZE = 65536 + 192;
/** Room for one IP_PKTINFO or IPV6_PKTINFO message and for another one: received are the hops, sent is UDP_SEGMENT. */
export const CONTROL_SIZE = 64;
export const NAME_WORDS = SOCKADDR_SIZE / 4;
export const CONTROL_WORDS = CONTROL_SIZE / 4;

export const HEADER_WORDS = layout.mmsghdr.size / 4;
const LENGTH_WORD = layout.mmsghdr.length / 4;
export const NAME_LENGTH_WORD = layout.msghdr.nameLength / 4;
export const CONTROL_LENGTH_WORD = layout.msghdr.controlLength / 4;
export const IOVEC_WORDS = layout.iovec.size / 4;
export const IOVEC_LENGTH_WORD = layout.iovec.length / 4;
const CMSG_DATA_WORD = layout.cmsghdr.data / 4;

/**
 * Slots that recvmmsg(2) fills one after another, round and round. A datagram stays readable until the ring comes
 * around again, which is what lets the UDP relay send a refused one a second time without ever having copied it.
 */
export class DatagramRing {
  readonly slots: number;
  /** Slot that the last receive filled first. */
  first = 0;
  /** Slot that the next receive will fill first, which is the oldest one. */
  next = 0;
  readonly #payload: Memory;
  readonly #names: Memory;
  readonly #controls: Memory;
  readonly #vectors: Memory;
  readonly #headers: Memory;
  readonly #named: boolean;

  /** @param named whether senders and control messages are wanted; a connected socket's are known, and cost time */
  constructor(slots: number, named: boolean) {
    this.slots = slots;
    this.#named = named;
    this.#payload = new Memory(slots * SLOT_SIZE);
    this.#names = new Memory(named ? slots * SOCKADDR_SIZE : 0);
    this.#controls = new Memory(named ? slots * CONTROL_SIZE : 0);
    this.#vectors = new Memory(slots * layout.iovec.size);
    this.#headers = new Memory(slots * layout.mmsghdr.size);
    for (let slot = 0; slot < slots; slot++) this.#prepare(slot);
  }

  #prepare(slot: number): void {
    const vector = slot * IOVEC_WORDS;
    this.#vectors.setPointer(vector, this.#payload, slot * SLOT_SIZE);
    this.#vectors.words[vector + IOVEC_LENGTH_WORD] = SLOT_SIZE;
    const { words } = this.#headers;
    const header = slot * HEADER_WORDS;
    this.#headers.setPointer(header + layout.msghdr.iov / 4, this.#vectors, slot * layout.iovec.size);
    words[header + layout.msghdr.iovLength / 4] = 1;
    if (!this.#named) return;
    this.#headers.setPointer(header + layout.msghdr.name / 4, this.#names, slot * SOCKADDR_SIZE);
    this.#headers.setPointer(header + layout.msghdr.control / 4, this.#controls, slot * CONTROL_SIZE);
    this.#rearm(header);
  }

  /** The kernel overwrites these two with what it really wrote. */
  #rearm(header: number): void {
    const { words } = this.#headers;
    words[header + NAME_LENGTH_WORD] = SOCKADDR_SIZE;
    words[header + CONTROL_LENGTH_WORD] = CONTROL_SIZE;
  }

  /**
   * Receives at most `limit` datagrams into the next slots; fewer than {@link room} means that the socket is empty.
   * @returns how many, from slot {@link first} on, or -1 with `errno`
   */
  receive(fd: number, limit: number): number {
    const first = this.next;
    const count = this.room(limit);
    if (this.#named) for (let slot = first; slot < first + count; slot++) this.#rearm(slot * HEADER_WORDS);
    const received = this.#receiveInto(first, count, fd);
    if (received > 0) {
      this.first = first;
      this.next = (first + received) % this.slots;
    }
    return received;
  }

  #receiveInto(first: number, count: number, fd: number): number {
    const address = this.#headers.address + first * layout.mmsghdr.size;
    const received = libc.recvmmsg(fd, address, count, MSG_DONTWAIT, 0);
    return received < 0 && errno() === ENOSYS ? this.#receiveOneByOne(first, count, fd) : received;
  }

  /** For a kernel without recvmmsg, or a seccomp filter that does not know it. */
  #receiveOneByOne(first: number, count: number, fd: number): number {
    for (let received = 0; received < count; received++) {
      const slot = first + received;
      const length = libc.recvmsg(fd, this.#headers.address + slot * layout.mmsghdr.size, MSG_DONTWAIT);
      if (length < 0) return received > 0 ? received : -1;
      this.#headers.words[slot * HEADER_WORDS + LENGTH_WORD] = length;
    }
    return count;
  }

  /** How many slots the next receive will offer: a ring's end cuts a batch short. */
  room(limit: number): number {
    return Math.min(limit, this.slots - this.next);
  }

  length(slot: number): number {
    return this.#headers.words[slot * HEADER_WORDS + LENGTH_WORD];
  }

  payload(slot: number): Uint8Array {
    return this.#payload.bytes.subarray(slot * SLOT_SIZE, slot * SLOT_SIZE + this.length(slot));
  }

  /** What the slots received; {@link startOf} tells where, {@link length} how much. */
  get payloads(): Memory {
    return this.#payload;
  }

  /** Byte of {@link payloads} where a slot begins. */
  startOf(slot: number): number {
    return slot * SLOT_SIZE;
  }

  /** The senders' socket addresses, NAME_WORDS words a slot. */
  get nameWords(): Int32Array {
    return this.#names.words;
  }

  /** The received control messages, CONTROL_WORDS words a slot. */
  get controlWords(): Int32Array {
    return this.#controls.words;
  }
}

/** Word offsets inside a control block with one packet-info message. */
export const PACKET_INFO_V4 = { localAddress: CMSG_DATA_WORD + 1 } as const;
export const PACKET_INFO_V6 = { localAddress: CMSG_DATA_WORD, interfaceIndex: CMSG_DATA_WORD + 4 } as const;

export const PACKET_INFO_SPACE = { v4: cmsgSpace(12), v6: cmsgSpace(20) } as const;
export const SEGMENT_SPACE = cmsgSpace(2);

/**
 * How many hops a received datagram had left (IP_RECVTTL, IPV6_RECVHOPLIMIT). The kernel writes them behind the packet info
 * (ip_cmsg_recv_offset, ip6_datagram_recv_ctl).
 * @param at the word where its control block begins
 */
export function receivedHopsOf(controls: Int32Array, at: number, isV6: boolean): number {
  return controls[at + (isV6 ? PACKET_INFO_SPACE.v6 : PACKET_INFO_SPACE.v4) / 4 + CMSG_DATA_WORD];
}

export function putControlHeader(
  words: Int32Array,
  at: number,
  length: number,
  level: number,
  type: number,
): void {
  words[at] = layout.cmsghdr.data + length;
  words[at + layout.cmsghdr.level / 4] = level;
  words[at + layout.cmsghdr.type / 4] = type;
}

/**
 * Builds the control block of replies at word `at`: a packet-info message that names the address to answer from,
 * then room for a segment size. The received block at `from` has the address that the client used.
 */
export function writeReplyControl(
  target: Int32Array,
  at: number,
  received: Int32Array,
  from: number,
  isV6: boolean,
): void {
  target.fill(0, at, at + CONTROL_WORDS);
  if (isV6) {
    putControlHeader(target, at, 20, IPPROTO_IPV6, IPV6_PKTINFO);
    for (let word = 0; word < 4; word++) {
      target[at + PACKET_INFO_V6.localAddress + word] = received[from + PACKET_INFO_V6.localAddress + word];
    }
    if (isLinkLocal(received[from + PACKET_INFO_V6.localAddress])) {
      target[at + PACKET_INFO_V6.interfaceIndex] = received[from + PACKET_INFO_V6.interfaceIndex];
    }
  } else {
    putControlHeader(target, at, 12, IPPROTO_IP, IP_PKTINFO);
    target[at + PACKET_INFO_V4.localAddress] = received[from + PACKET_INFO_V4.localAddress];
  }
  const segment = at + (isV6 ? PACKET_INFO_SPACE.v6 : PACKET_INFO_SPACE.v4) / 4;
  putControlHeader(target, segment, 2, IPPROTO_UDP, UDP_SEGMENT);
}

/** fe80::/10, read from a little-endian word in network order. */
function isLinkLocal(word: number): boolean {
  return (word & 0xc0ff) === 0x80fe;
}
