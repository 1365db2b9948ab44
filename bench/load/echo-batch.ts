import { layout } from '../../lib/sys/layout.js';
import * as libc from '../../lib/sys/libc.js';
import { Memory } from '../../lib/sys/memory.js';
import { SOCKADDR_SIZE } from '../../lib/sys/sockaddr.js';

const HEADER_WORDS = layout.mmsghdr.size / 4;
const SLOT_SIZE = 2048;

/**
 * Datagrams that are received and sent back as they are, one header array for both ways: the names that recvmmsg(2)
 * filled in are the ones that sendmmsg(2) goes to. Each datagram is sent on its own, as clients in the wild do;
 * segmentation offload would measure something else.
 */
export class EchoBatch {
  readonly #payload: Memory;
  readonly #names: Memory;
  readonly #vectors: Memory;
  readonly #headers: Memory;
  readonly #capacity: number;
  readonly #named: boolean;

  /** @param named whether the socket is unconnected, so that names matter. @param size of all datagrams, bytes */
  constructor(capacity: number, size: number, named: boolean) {
    if (size > SLOT_SIZE) throw new RangeError(`datagrams of the bench have at most ${SLOT_SIZE} bytes`);
    this.#capacity = capacity;
    this.#named = named;
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
    if (!this.#named) return;
    this.#headers.setPointer(header + layout.msghdr.name / 4, this.#names, slot * SOCKADDR_SIZE);
    headers[header + layout.msghdr.nameLength / 4] = SOCKADDR_SIZE;
  }

  /** @returns how many came, or -1 with `errno` */
  receive(fd: number): number {
    return libc.recvmmsg(fd, this.#headers.address, this.#capacity, 0, 0);
  }

  /** Sends `count` datagrams. @returns how many the kernel took, or -1 with `errno` */
  send(fd: number, count: number, first = 0): number {
    return libc.sendmmsg(fd, this.#headers.address + first * layout.mmsghdr.size, count, 0);
  }

  /** The payloads; {@link wordOf} tells where each begins. */
  get words(): Int32Array {
    return this.#payload.words;
  }

  wordOf(slot: number): number {
    return (slot * SLOT_SIZE) / 4;
  }

  /** The size of the datagrams that are in the batch; they are sent back with it. */
  setSize(count: number): void {
    const headers = this.#headers.words;
    const vectors = this.#vectors.words;
    for (let slot = 0; slot < count; slot++) {
      const length = headers[slot * HEADER_WORDS + layout.mmsghdr.length / 4];
      vectors[(slot * layout.iovec.size + layout.iovec.length) / 4] = length;
    }
  }

  /** Makes room for datagrams of any size again. */
  rearm(count: number): void {
    const vectors = this.#vectors.words;
    for (let slot = 0; slot < count; slot++) {
      vectors[(slot * layout.iovec.size + layout.iovec.length) / 4] = SLOT_SIZE;
    }
  }
}
