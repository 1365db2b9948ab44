import { MSG_DONTWAIT } from './constants.js';
import { CONTROL_SIZE } from './controlmessages.js';
import { ENOSYS, errno } from './errno.js';
import { layout } from './layout.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';
import { SOCKADDR_SIZE } from './sockaddr.js';

/**
 * Bytes. The largest UDP payload must fit, 65,527 bytes with IPv6: a datagram that is cut is lost for its
 * receiver (Cyclone DDS sends 14.7 KB). With 192 bytes more, the slots do not all start in the same cache
 * set.
 */
const ANY_DATAGRAM = 65536 + 192;
export const NAME_WORDS = SOCKADDR_SIZE / 4;

export const HEADER_WORDS = layout.mmsghdr.size / 4;
const LENGTH_WORD = layout.mmsghdr.length / 4;
export const NAME_LENGTH_WORD = layout.msghdr.nameLength / 4;
export const CONTROL_LENGTH_WORD = layout.msghdr.controlLength / 4;
export const IOVEC_WORDS = layout.iovec.size / 4;
export const IOVEC_LENGTH_WORD = layout.iovec.length / 4;

/**
 * Slots that recvmmsg(2) fills one after another. After the last slot, the first one is used again. A
 * datagram stays readable until its slot is used again, so the UDP relay can send a refused datagram a second
 * time without a copy.
 */
export class DatagramRing {
  readonly slots: number;
  /** The first slot that the last receive filled. */
  first = 0;
  /** The first slot that the next receive fills. It has the oldest datagram. */
  next = 0;
  readonly #payload: Memory;
  readonly #names: Memory;
  readonly #controls: Memory;
  readonly #vectors: Memory;
  readonly #headers: Memory;
  readonly #hasNames: boolean;
  readonly #slotSize: number;

  /**
   * @param hasNames whether to receive senders and control messages; they cost time, and a connected socket
   *   does not need them
   * @param slotSize bytes, a multiple of 4; a longer datagram is cut
   */
  constructor(slots: number, hasNames: boolean, slotSize = ANY_DATAGRAM) {
    this.slots = slots;
    this.#hasNames = hasNames;
    this.#slotSize = slotSize;
    this.#payload = new Memory(slots * this.#slotSize);
    this.#names = new Memory(hasNames ? slots * SOCKADDR_SIZE : 0);
    this.#controls = new Memory(hasNames ? slots * CONTROL_SIZE : 0);
    this.#vectors = new Memory(slots * layout.iovec.size);
    this.#headers = new Memory(slots * layout.mmsghdr.size);
    for (let slot = 0; slot < slots; slot++) this.#prepare(slot);
  }

  #prepare(slot: number): void {
    const vector = slot * IOVEC_WORDS;
    this.#vectors.setPointer(vector, this.#payload, slot * this.#slotSize);
    this.#vectors.words[vector + IOVEC_LENGTH_WORD] = this.#slotSize;
    const { words } = this.#headers;
    const header = slot * HEADER_WORDS;
    this.#headers.setPointer(header + layout.msghdr.iov / 4, this.#vectors, slot * layout.iovec.size);
    words[header + layout.msghdr.iovLength / 4] = 1;
    if (!this.#hasNames) return;
    this.#headers.setPointer(header + layout.msghdr.name / 4, this.#names, slot * SOCKADDR_SIZE);
    this.#headers.setPointer(header + layout.msghdr.control / 4, this.#controls, slot * CONTROL_SIZE);
    this.#rearm(header);
  }

  /** Restores the two sizes that the kernel replaced with the sizes that it wrote. */
  #rearm(header: number): void {
    const { words } = this.#headers;
    words[header + NAME_LENGTH_WORD] = SOCKADDR_SIZE;
    words[header + CONTROL_LENGTH_WORD] = CONTROL_SIZE;
  }

  /**
   * Receives at most `limit` datagrams into the next slots. If there are fewer than {@link room}, the socket
   * is empty.
   * @returns the number of datagrams, which begin at slot {@link first}, or -1 with `errno`
   */
  receive(fd: number, limit: number): number {
    const first = this.next;
    const count = this.room(limit);
    if (this.#hasNames) for (let slot = first; slot < first + count; slot++) this.#rearm(slot * HEADER_WORDS);
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

  /**
   * How many slots the next receive offers. It stops at the end of the ring, so there may be fewer than
   * `limit`.
   */
  room(limit: number): number {
    return Math.min(limit, this.slots - this.next);
  }

  length(slot: number): number {
    return this.#headers.words[slot * HEADER_WORDS + LENGTH_WORD];
  }

  payload(slot: number): Uint8Array {
    return this.#payload.bytes.subarray(slot * this.#slotSize, slot * this.#slotSize + this.length(slot));
  }

  /**
   * The memory of all slots. {@link startOf} tells where a slot begins, {@link length} how many bytes it has.
   */
  get payloads(): Memory {
    return this.#payload;
  }

  /** Byte of {@link payloads} where a slot begins. */
  startOf(slot: number): number {
    return slot * this.#slotSize;
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
