import { IPPROTO_UDP, UDP_SEGMENT } from './constants.js';
import { PACKET_INFO_SPACE, putControlHeader, SEGMENT_SPACE } from './controlmessages.js';
import type { DatagramRing } from './datagrams.js';
import { EAGAIN, EINVAL, EIO, EMSGSIZE, errno } from './errno.js';
import { layout } from './layout.js';
import { Memory } from './memory.js';
import { doSegmentsArrive } from './segments.js';
import { SendHeaders } from './sendheaders.js';
import { SOCKADDR_IN_SIZE, SOCKADDR_IN6_SIZE } from './sockaddr.js';

/**
 * A segment must fit the path MTU, and this size fits on the links of robots. Larger datagrams are sent
 * without UDP_SEGMENT.
 */
const MAX_SEGMENT_BYTES = 1400;
/** One send with UDP_SEGMENT carries no more. */
const MAX_RUN_BYTES = 65000;
/** How often one send is tried again because the kernel reported the error of an earlier datagram. */
const MAX_PENDING_ERRORS = 2;

/**
 * Collects datagrams for one peer and sends them with as few calls as the kernel allows: one send for one,
 * one UDP_SEGMENT send for a run of equal sizes (Linux 4.18), else sendmmsg(2).
 */
export class DatagramSender {
  readonly capacity: number;
  count = 0;
  /** Bytes collected. */
  bytes = 0;
  readonly #headers: SendHeaders;
  readonly #segmentControl = new Memory(SEGMENT_SPACE);
  /** Whether to use UDP_SEGMENT if the kernel knows it. The caller knows which paths refused it. */
  maySegment = true;
  /**
   * Result of the last send. `none`: it did not try UDP_SEGMENT. `refused`: the kernel refused UDP_SEGMENT,
   * and the datagrams were sent without it.
   */
  segments: 'none' | 'sent' | 'refused' = 'none';
  /** How many more errors count as errors of earlier datagrams. */
  #pendingErrors = 0;
  #segmentSize = 0;
  #isUniform = true;

  readonly #hasUdpSegment: boolean;

  /**
   * @param hasUdpSegment whether the kernel knows UDP_SEGMENT; each thread tests that with its first sender
   */
  constructor(capacity: number, hasUdpSegment = canKernelSegment()) {
    this.capacity = capacity;
    this.#hasUdpSegment = hasUdpSegment;
    this.#headers = new SendHeaders(capacity);
    putControlHeader(this.#segmentControl.words, 0, 2, IPPROTO_UDP, UDP_SEGMENT);
  }

  clear(): void {
    this.count = 0;
    this.bytes = 0;
    this.segments = 'none';
    this.#isUniform = true;
  }

  /**
   * Collects the datagram in a slot of a ring. The slot must not receive again before the datagram is sent.
   */
  pushSlot(ring: DatagramRing, slot: number): void {
    this.push(ring.payloads, ring.startOf(slot), ring.length(slot));
  }

  /** The block that has a collected datagram, from byte {@link startOf} on. */
  payloadOf(index: number): Memory {
    return this.#headers.payloadOf(index);
  }

  startOf(index: number): number {
    return this.#headers.startOf(index);
  }

  lengthOf(index: number): number {
    return this.#headers.lengthOf(index);
  }

  /** Collects `length` bytes from byte `at` on. */
  push(payload: Memory, at: number, length: number): void {
    this.#headers.setPayload(this.count, payload, at, length);
    if (this.count === 0) this.#segmentSize = length;
    else if (!this.#fitsRun(length)) this.#isUniform = false;
    this.count++;
    this.bytes += length;
  }

  /**
   * All segments have one size. Only the last one may be shorter, but not empty: an empty segment would not
   * be sent.
   */
  #fitsRun(length: number): boolean {
    return length > 0 && length <= this.#segmentSize && this.bytes === this.count * this.#segmentSize;
  }

  #canSegment(): boolean {
    return (
      this.#hasUdpSegment &&
      this.maySegment &&
      this.#isUniform &&
      this.count > 1 &&
      this.#segmentSize <= MAX_SEGMENT_BYTES &&
      this.bytes <= MAX_RUN_BYTES
    );
  }

  /**
   * Sends what was collected on a connected socket. The kernel may report the error of an earlier datagram in
   * the next call and then send nothing. In that case the call is repeated; `keepErrors` still has the error.
   * @returns how many datagrams the kernel took; if fewer than `count`, `errno` has the reason
   */
  sendConnected(fd: number): number {
    this.#pendingErrors = MAX_PENDING_ERRORS;
    if (this.count === 1) return this.#sendOne(fd);
    const headers = this.#headers;
    if (this.#canSegment()) {
      this.#segmentControl.view.setUint16(layout.cmsghdr.data, this.#segmentSize, true);
      headers.setDestination(null, 0, 0, this.#segmentControl, 0, SEGMENT_SPACE);
      const sent = this.#sendSegmented(fd);
      if (sent >= 0) return sent;
    }
    headers.setDestination(null, 0, 0, null, 0, 0);
    return this.#sendEach(fd);
  }

  #sendOne(fd: number): number {
    while (this.#headers.sendFirst(fd) < 0) if (!this.#mayBePending()) return 0;
    return 1;
  }

  /** Whether the last call may have failed because of an earlier datagram, and must be tried again. */
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
    const headers = this.#headers;
    const nameLength = isV6 ? SOCKADDR_IN6_SIZE : SOCKADDR_IN_SIZE;
    const infoSpace = isV6 ? PACKET_INFO_SPACE.v6 : PACKET_INFO_SPACE.v4;
    if (this.#canSegment()) {
      control.view.setUint16(controlOffset + infoSpace + layout.cmsghdr.data, this.#segmentSize, true);
      headers.setDestination(
        names,
        nameOffset,
        nameLength,
        control,
        controlOffset,
        infoSpace + SEGMENT_SPACE,
      );
      const sent = this.#sendSegmented(fd);
      if (sent >= 0) return sent;
    }
    headers.setDestination(names, nameOffset, nameLength, control, controlOffset, infoSpace);
    if (this.count === 1) return headers.sendOne(fd, 0) < 0 ? 0 : 1;
    return this.#sendEach(fd);
  }

  /** @returns count, or 0 with `errno`, or -1 if the datagrams must be sent without UDP_SEGMENT */
  #sendSegmented(fd: number): number {
    if (this.#headers.sendAsRun(fd, this.count) >= 0) {
      this.segments = 'sent';
      return this.count;
    }
    const code = errno();
    // EMSGSIZE or EINVAL, depending on the kernel's version: larger than the path MTU, or unknown (before
    // Linux 4.18). EIO: the device cannot make checksums.
    if (code !== EMSGSIZE && code !== EINVAL && code !== EIO) return this.#mayBePending() ? -1 : 0;
    this.segments = 'refused';
    return -1;
  }

  #sendEach(fd: number): number {
    const headers = this.#headers;
    headers.addressEach(this.count);
    let sent = 0;
    while (sent < this.count) {
      const taken = headers.sendSome(fd, sent, this.count);
      if (taken > 0) sent += taken;
      else if (!this.#mayBePending()) break;
    }
    return sent;
  }
}

/** Undefined: not tested yet. */
let canSegment: boolean | undefined;

function canKernelSegment(): boolean {
  canSegment ??= doSegmentsArrive(new DatagramSender(2, true));
  return canSegment;
}
