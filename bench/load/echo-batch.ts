import { layout } from '../../lib/sys/layout.js';
import * as libc from '../../lib/sys/libc.js';
import { Memory } from '../../lib/sys/memory.js';
import { SOCKADDR_SIZE } from '../../lib/sys/sockaddr.js';

const HEADER_WORDS = layout.mmsghdr.size / 4;
const SLOT_SIZE = 2048;

/**
 * Receives datagrams and sends them back unchanged. Both directions use the same headers: sendmmsg(2) sends
 * to the addresses that recvmmsg(2) wrote. Each datagram is sent alone, as most clients do. With segmentation
 * offload, the bench would measure something else.
 */
export class EchoBatch {
  readonly #payload: Memory;
  readonly #names: Memory;
  readonly #vectors: Memory;
  readonly #headers: Memory;
  readonly #capacity: number;
  readonly #hasNames: boolean;

  /**
   * @param size bytes of each datagram
   * @param hasNames whether the headers have addresses, as an unconnected socket needs
   */
  constructor(capacity: number, size: number, hasNames: boolean) {
    if (size > SLOT_SIZE) throw new RangeError(`datagrams of the bench have at most ${SLOT_SIZE} bytes`);
    this.#capacity = capacity;
    this.#hasNames = hasNames;
    this.#payload = new Memory(capacity * SLOT_SIZE);
    this.#names = new Memory(capacity * SOCKADDR_SIZE);
    this.#vectors = new Memory(capacity * layout.iovec.size);
    this.#headers = new Memory(capacity * layout.mmsghdr.size);
    for (let slot = 0; slot < capacity; slot++) this.#prepare(slot, size);
  }

  #prepare(slot: number, size: number): void {
    const vectors = this.#vectors.words;
    const vector = (slot * layout.iovec.size) / 4;
    this.#vectors.setPointer(vector, this.#payload, slot * SLOT_SIZE);
    vectors[vector + layout.iovec.length / 4] = size;
    const headers = this.#headers.words;
    const header = slot * HEADER_WORDS;
    this.#headers.setPointer(header + layout.msghdr.iov / 4, this.#vectors, slot * layout.iovec.size);
    headers[header + layout.msghdr.iovLength / 4] = 1;
    if (!this.#hasNames) return;
    this.#headers.setPointer(header + layout.msghdr.name / 4, this.#names, slot * SOCKADDR_SIZE);
    headers[header + layout.msghdr.nameLength / 4] = SOCKADDR_SIZE;
  }

  /** @returns the number of datagrams, or -1 with `errno` */
  receive(fd: number): number {
    return libc.recvmmsg(fd, this.#headers.address, this.#capacity, 0, 0);
  }

  /** Sends `count` datagrams from slot `first` on. @returns how many the kernel took, or -1 with `errno` */
  send(fd: number, count: number, first = 0): number {
    return libc.sendmmsg(fd, this.#headers.address + first * layout.mmsghdr.size, count, 0);
  }

  /** The payloads. {@link wordOf} says where each begins. */
  get words(): Int32Array {
    return this.#payload.words;
  }

  /** The word of {@link words} where a slot begins. */
  wordOf(slot: number): number {
    return (slot * SLOT_SIZE) / 4;
  }

  /** Gives the first `count` datagrams the sizes with which they came, so that they are sent back so. */
  keepSizes(count: number): void {
    const headers = this.#headers.words;
    const vectors = this.#vectors.words;
    for (let slot = 0; slot < count; slot++) {
      const length = headers[slot * HEADER_WORDS + layout.mmsghdr.length / 4];
      vectors[(slot * layout.iovec.size + layout.iovec.length) / 4] = length;
    }
  }

  /** Lets the first `count` slots receive datagrams of any size again. */
  rearm(count: number): void {
    const vectors = this.#vectors.words;
    for (let slot = 0; slot < count; slot++) {
      vectors[(slot * layout.iovec.size + layout.iovec.length) / 4] = SLOT_SIZE;
    }
  }
}
