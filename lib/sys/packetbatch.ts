import { MSG_DONTWAIT } from './constants.js';
import { HEADER_WORDS, IOVEC_LENGTH_WORD, IOVEC_WORDS, NAME_LENGTH_WORD } from './datagrams.js';
import { ENOSYS, errno } from './errno.js';
import { layout, storePointer } from './layout.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';

/** The head of a packet, and the data behind it. */
const VECTORS = 2;

/**
 * Packets for one destination, sent with sendmmsg(2). The head of each is in a slot of the batch's own
 * memory. Its data is somewhere else and is not copied.
 */
export class PacketBatch {
  readonly capacity: number;
  /** The slots of the heads. {@link headAt} tells where one begins. */
  readonly heads: Memory;
  readonly #slotSize: number;
  readonly #vectors: Memory;
  readonly #headers: Memory;
  /** Keeps the data of the packets alive. */
  readonly #payloads: (Memory | null)[] = [];
  readonly #starts: Int32Array;

  /**
   * @param slotSize bytes of the longest head, a multiple of 4
   * @param name memory with the sockaddr of the destination, which may change between two sends
   */
  constructor(capacity: number, slotSize: number, name: Memory, nameLength: number) {
    this.capacity = capacity;
    this.#slotSize = slotSize;
    this.heads = new Memory(capacity * slotSize);
    this.#vectors = new Memory(capacity * VECTORS * layout.iovec.size);
    this.#headers = new Memory(capacity * layout.mmsghdr.size);
    this.#starts = new Int32Array(capacity);
    for (let index = 0; index < capacity; index++) this.#prepare(index, name, nameLength);
  }

  #prepare(index: number, name: Memory, nameLength: number): void {
    const vector = index * VECTORS;
    this.#vectors.setPointer(vector * IOVEC_WORDS, this.heads, this.headAt(index));
    const header = index * HEADER_WORDS;
    this.#headers.setPointer(header + layout.msghdr.name / 4, name);
    this.#headers.words[header + NAME_LENGTH_WORD] = nameLength;
    this.#headers.setPointer(header + layout.msghdr.iov / 4, this.#vectors, vector * layout.iovec.size);
  }

  /** Byte of {@link heads} where the head of a packet begins. */
  headAt(index: number): number {
    return index * this.#slotSize;
  }

  /** Makes a packet of a head, which is in its slot, and `length` bytes of a block from byte `start` on. */
  set(index: number, headSize: number, payload: Memory, start: number, length: number): void {
    const vector = index * VECTORS * IOVEC_WORDS;
    this.setHead(index, headSize);
    storePointer(this.#vectors.words, vector + IOVEC_WORDS, payload.address + start);
    this.#vectors.words[vector + IOVEC_WORDS + IOVEC_LENGTH_WORD] = length;
    this.#headers.words[index * HEADER_WORDS + layout.msghdr.iovLength / 4] = VECTORS;
    this.#payloads[index] = payload;
    this.#starts[index] = start;
  }

  /** Makes a packet of a head alone. */
  setHead(index: number, headSize: number): void {
    this.#vectors.words[index * VECTORS * IOVEC_WORDS + IOVEC_LENGTH_WORD] = headSize;
    this.#headers.words[index * HEADER_WORDS + layout.msghdr.iovLength / 4] = 1;
    this.#payloads[index] = null;
  }

  headSizeOf(index: number): number {
    return this.#vectors.words[index * VECTORS * IOVEC_WORDS + IOVEC_LENGTH_WORD];
  }

  /** The block with a packet's data. Null if it has only a head. */
  payloadOf(index: number): Memory | null {
    return this.#payloads[index];
  }

  /** Byte of {@link payloadOf} where the data begins. */
  startOf(index: number): number {
    return this.#starts[index];
  }

  /** Bytes of data, if there are some. */
  lengthOf(index: number): number {
    return this.#vectors.words[(index * VECTORS + 1) * IOVEC_WORDS + IOVEC_LENGTH_WORD];
  }

  /**
   * Sends the packets from index `from` on, without index `end`.
   * @returns how many the kernel took; -1 with `errno`
   */
  send(fd: number, from: number, end: number): number {
    const address = this.#headers.address + from * layout.mmsghdr.size;
    const taken = libc.sendmmsg(fd, address, end - from, MSG_DONTWAIT);
    if (taken >= 0 || errno() !== ENOSYS) return taken;
    // A kernel without sendmmsg, or a seccomp filter that does not know it.
    return libc.sendmsg(fd, address, MSG_DONTWAIT) < 0 ? -1 : 1;
  }
}
