import { IPPROTO_UDP, MSG_DONTWAIT, MSG_NOSIGNAL, UDP_SEGMENT } from './constants.js';
import {
  CONTROL_LENGTH_WORD,
  type DatagramRing,
  HEADER_WORDS,
  IOVEC_LENGTH_WORD,
  IOVEC_WORDS,
  NAME_LENGTH_WORD,
  PACKET_INFO_SPACE,
  putControlHeader,
  SEGMENT_SPACE,
} from './datagrams.js';
import { EAGAIN, EINVAL, EIO, EMSGSIZE, ENOSYS, errno } from './errno.js';
import { layout, storePointer } from './layout.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';
import { doSegmentsArrive } from './segments.js';
import { SOCKADDR_IN_SIZE, SOCKADDR_IN6_SIZE } from './sockaddr.js';

const FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;

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
  /** Whether runs may be segmented by the kernel, if it can. The caller knows which paths have refused it. */
  maySegment = true;
  /** What became of the last send as a run: none, if it was not sent so; refused, if it went one by one then. */
  segments: 'none' | 'sent' | 'refused' = 'none';
  /** So many more errors may be those of earlier datagrams. */
  #pendingErrors = 0;
  #segmentSize = 0;
  #uniform = true;

  readonly #kernelSegments: boolean;

  /** @param kernelSegments whether the kernel can do that at all; each thread finds out with its first sender */
  constructor(capacity: number, kernelSegments = doesKernelSegment()) {
    this.capacity = capacity;
    this.#kernelSegments = kernelSegments;
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

  /** Collects what a slot of a ring has received; it must not receive again before it is sent. */
  pushSlot(ring: DatagramRing, slot: number): void {
    this.#push(ring.payloadAddress(slot), ring.length(slot));
  }

  /** Collects `length` bytes from byte `at` on. The memory must live until they are sent. */
  push(payload: Memory, at: number, length: number): void {
    this.#push(payload.address + at, length);
  }

  #push(address: number, length: number): void {
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
      this.#kernelSegments &&
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
   * @param names memory with the client's sockaddr at byte `nameOffset`
   * @param control memory with a block of writeReplyControl at byte `controlOffset`
   * @returns as sendConnected
   */
  sendTo(
    fd: number,
    names: Memory,
    nameOffset: number,
    control: Memory,
    controlOffset: number,
    isV6: boolean,
  ): number {
    this.#pendingErrors = 0;
    const name = names.address + nameOffset;
    const nameLength = isV6 ? SOCKADDR_IN6_SIZE : SOCKADDR_IN_SIZE;
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
      const taken = this.#sendSome(fd, sent);
      if (taken > 0) sent += taken;
      else if (!this.#mayBePending()) break;
    }
    return sent;
  }

  /** @returns how many datagrams the kernel took, from number `from` on; -1 with `errno` */
  #sendSome(fd: number, from: number): number {
    const address = this.#headers.address + from * layout.mmsghdr.size;
    const taken = libc.sendmmsg(fd, address, this.count - from, FLAGS);
    if (taken >= 0 || errno() !== ENOSYS) return taken;
    // A kernel without sendmmsg, or a seccomp filter that does not know it.
    return libc.sendmsg(fd, address, FLAGS) < 0 ? -1 : 1;
  }
}

let kernelSegments: boolean | undefined;

function doesKernelSegment(): boolean {
  kernelSegments ??= doSegmentsArrive(new DatagramSender(2, true));
  return kernelSegments;
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
