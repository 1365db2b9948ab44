import {
  IP_PKTINFO,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  IPV6_PKTINFO,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  UDP_SEGMENT,
} from './constants.js';
import { EAGAIN, EINVAL, EIO, EMSGSIZE, errno } from './errno.js';
import { cmsgSpace, layout, storePointer } from './layout.js';
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

const HEADER_WORDS = layout.mmsghdr.size / 4;
const LENGTH_WORD = layout.mmsghdr.length / 4;
const NAME_LENGTH_WORD = layout.msghdr.nameLength / 4;
const CONTROL_LENGTH_WORD = layout.msghdr.controlLength / 4;
const IOVEC_WORDS = layout.iovec.size / 4;
const IOVEC_LENGTH_WORD = layout.iovec.length / 4;
const CMSG_DATA_WORD = layout.cmsghdr.data / 4;

const FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;

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
    storePointer(this.#vectors.words, vector, this.payloadAddress(slot));
    this.#vectors.words[vector + IOVEC_LENGTH_WORD] = SLOT_SIZE;
    const { words } = this.#headers;
    const header = slot * HEADER_WORDS;
    storePointer(words, header + layout.msghdr.iov / 4, this.#vectors.address + slot * layout.iovec.size);
    words[header + layout.msghdr.iovLength / 4] = 1;
    if (!this.#named) return;
    storePointer(words, header + layout.msghdr.name / 4, this.#names.address + slot * SOCKADDR_SIZE);
    storePointer(words, header + layout.msghdr.control / 4, this.#controls.address + slot * CONTROL_SIZE);
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
    const received = libc.recvmmsg(
      fd,
      this.#headers.address + first * layout.mmsghdr.size,
      count,
      MSG_DONTWAIT,
      0,
    );
    if (received > 0) {
      this.first = first;
      this.next = (first + received) % this.slots;
    }
    return received;
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

  payloadAddress(slot: number): number {
    return this.#payload.address + slot * SLOT_SIZE;
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

const PACKET_INFO_SPACE = { v4: cmsgSpace(12), v6: cmsgSpace(20) } as const;
const SEGMENT_SPACE = cmsgSpace(2);

/**
 * How many hops a received datagram had left (IP_RECVTTL, IPV6_RECVHOPLIMIT). The kernel writes them behind the packet info
 * (ip_cmsg_recv_offset, ip6_datagram_recv_ctl).
 * @param at the word where its control block begins
 */
export function receivedHopsOf(controls: Int32Array, at: number, isV6: boolean): number {
  return controls[at + (isV6 ? PACKET_INFO_SPACE.v6 : PACKET_INFO_SPACE.v4) / 4 + CMSG_DATA_WORD];
}

function putControlHeader(words: Int32Array, at: number, length: number, level: number, type: number): void {
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

/** Bytes. The path MTU that a segment must fit is at least this on the links robots use; bigger runs go one by one. */
const LARGEST_SEGMENT = 1400;
const LARGEST_SUPER_DATAGRAM = 65000;
/** Errors of earlier datagrams may come faster than they are told, but hardly so many. */
const PENDING_ERRORS = 2;

/**
 * Collects datagrams for one peer and sends them with as few calls as the kernel allows: one send for one, one
 * UDP_SEGMENT send for a run of equal sizes (Linux 4.18), else sendmmsg(2).
 */
export class DatagramSender {
  readonly capacity: number;
  count = 0;
  /** Bytes collected. */
  bytes = 0;
  readonly #vectors: Memory;
  readonly #headers: Memory;
  readonly #segmented = new Memory(layout.msghdr.size);
  readonly #segmentControl = new Memory(SEGMENT_SPACE);
  /** Whether runs may be segmented by the kernel. The caller knows which paths have refused it. */
  maySegment = true;
  /** What became of the last send as a run: none, if it was not sent so; refused, if it went one by one then. */
  segments: 'none' | 'sent' | 'refused' = 'none';
  /** So many more errors may be those of earlier datagrams. */
  #pendingErrors = 0;
  #segmentSize = 0;
  #uniform = true;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#vectors = new Memory(capacity * layout.iovec.size);
    this.#headers = new Memory(capacity * layout.mmsghdr.size);
    for (let i = 0; i < capacity; i++) {
      const header = i * HEADER_WORDS;
      const { words } = this.#headers;
      storePointer(words, header + layout.msghdr.iov / 4, this.#vectors.address + i * layout.iovec.size);
      words[header + layout.msghdr.iovLength / 4] = 1;
    }
    storePointer(this.#segmented.words, layout.msghdr.iov / 4, this.#vectors.address);
    putControlHeader(this.#segmentControl.words, 0, 2, IPPROTO_UDP, UDP_SEGMENT);
  }

  clear(): void {
    this.count = 0;
    this.bytes = 0;
    this.segments = 'none';
    this.#uniform = true;
  }

  push(address: number, length: number): void {
    const vector = this.count * IOVEC_WORDS;
    storePointer(this.#vectors.words, vector, address);
    this.#vectors.words[vector + IOVEC_LENGTH_WORD] = length;
    if (this.count === 0) this.#segmentSize = length;
    else if (!this.#fitsRun(length)) this.#uniform = false;
    this.count++;
    this.bytes += length;
  }

  /** All segments have one size; only the last may be shorter, but not empty: nothing would be left to see of it. */
  #fitsRun(length: number): boolean {
    return length > 0 && length <= this.#segmentSize && this.bytes === this.count * this.#segmentSize;
  }

  #canSegment(): boolean {
    return (
      this.maySegment &&
      this.#uniform &&
      this.count > 1 &&
      this.#segmentSize <= LARGEST_SEGMENT &&
      this.bytes <= LARGEST_SUPER_DATAGRAM
    );
  }

  /**
   * Sends what was collected on a connected socket. The error of an earlier datagram, which the kernel hands to the next call
   * instead of doing it, costs nothing here; `keepErrors` has it still.
   * @returns how many datagrams the kernel took; fewer than `count` leaves the reason in `errno`
   */
  sendConnected(fd: number): number {
    this.#pendingErrors = PENDING_ERRORS;
    if (this.count === 1) return this.#sendOne(fd);
    if (this.#canSegment()) {
      this.#segmentControl.view.setUint16(layout.cmsghdr.data, this.#segmentSize, true);
      const sent = this.#sendSegmented(fd, 0, 0, this.#segmentControl.address, SEGMENT_SPACE);
      if (sent >= 0) return sent;
    }
    for (let i = 0; i < this.count; i++) this.#address(i * HEADER_WORDS, 0, 0, 0, 0);
    return this.#sendEach(fd);
  }

  #sendOne(fd: number): number {
    const { words } = this.#vectors;
    const low = words[0] >>> 0;
    const address = layout.pointer === 8 ? low + words[1] * 2 ** 32 : low;
    while (libc.send(fd, address, words[IOVEC_LENGTH_WORD], FLAGS) < 0) if (!this.#mayBePending()) return 0;
    return 1;
  }

  /** Whether the last call may have failed for an earlier datagram, and is worth another try. */
  #mayBePending(): boolean {
    return this.#pendingErrors-- > 0 && errno() !== EAGAIN;
  }

  /**
   * Sends what was collected to one client from an unconnected socket.
   * @param name address of the client's sockaddr
   * @param control memory with a block of writeReplyControl at byte `controlOffset`
   * @returns as sendConnected
   */
  sendTo(
    fd: number,
    name: number,
    nameLength: number,
    control: Memory,
    controlOffset: number,
    isV6: boolean,
  ): number {
    this.#pendingErrors = 0;
    const infoSpace = isV6 ? PACKET_INFO_SPACE.v6 : PACKET_INFO_SPACE.v4;
    const controlAddress = control.address + controlOffset;
    if (this.#canSegment()) {
      control.view.setUint16(controlOffset + infoSpace + layout.cmsghdr.data, this.#segmentSize, true);
      const sent = this.#sendSegmented(fd, name, nameLength, controlAddress, infoSpace + SEGMENT_SPACE);
      if (sent >= 0) return sent;
    }
    for (let i = 0; i < this.count; i++) {
      this.#address(i * HEADER_WORDS, name, nameLength, controlAddress, infoSpace);
    }
    if (this.count === 1) return libc.sendmsg(fd, this.#headers.address, FLAGS) < 0 ? 0 : 1;
    return this.#sendEach(fd);
  }

  #address(header: number, name: number, nameLength: number, control: number, controlLength: number): void {
    putAddress(this.#headers.words, header, name, nameLength, control, controlLength);
  }

  /** @returns count, 0 with `errno`, or -1 when segmentation is not to be had and the datagrams must go one by one */
  #sendSegmented(
    fd: number,
    name: number,
    nameLength: number,
    control: number,
    controlLength: number,
  ): number {
    const { words } = this.#segmented;
    words[layout.msghdr.iovLength / 4] = this.count;
    putAddress(words, 0, name, nameLength, control, controlLength);
    if (libc.sendmsg(fd, this.#segmented.address, FLAGS) >= 0) {
      this.segments = 'sent';
      return this.count;
    }
    const code = errno();
    // EMSGSIZE or EINVAL, by the kernel's age: larger than the path's MTU, or unknown (before 4.18). EIO: a device that cannot checksum.
    if (code !== EMSGSIZE && code !== EINVAL && code !== EIO) return this.#mayBePending() ? -1 : 0;
    this.segments = 'refused';
    return -1;
  }

  #sendEach(fd: number): number {
    let sent = 0;
    while (sent < this.count) {
      const address = this.#headers.address + sent * layout.mmsghdr.size;
      const taken = libc.sendmmsg(fd, address, this.count - sent, FLAGS);
      if (taken > 0) sent += taken;
      else if (!this.#mayBePending()) break;
    }
    return sent;
  }
}

function putAddress(
  words: Int32Array,
  header: number,
  name: number,
  nameLength: number,
  control: number,
  controlLength: number,
): void {
  storePointer(words, header + layout.msghdr.name / 4, name);
  words[header + NAME_LENGTH_WORD] = nameLength;
  storePointer(words, header + layout.msghdr.control / 4, control);
  words[header + CONTROL_LENGTH_WORD] = controlLength;
}
