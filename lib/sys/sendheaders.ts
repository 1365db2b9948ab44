import { MSG_DONTWAIT, MSG_NOSIGNAL } from './constants.js';
import {
  CONTROL_LENGTH_WORD,
  HEADER_WORDS,
  IOVEC_LENGTH_WORD,
  IOVEC_WORDS,
  NAME_LENGTH_WORD,
} from './datagrams.js';
import { ENOSYS, errno } from './errno.js';
import { layout, storePointer } from './layout.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';
import type { SocketAddress } from './sockaddr.js';

const FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL;

/**
 * The structures for sending datagrams: one by one, with sendmmsg(2), or as a run that the kernel divides
 * (UDP_SEGMENT). They keep the blocks to which they point alive until other blocks take their place. The
 * blocks change with every datagram, so {@link Memory.setPointer}, which keeps every block as long as the
 * structures, is not used.
 */
export class SendHeaders {
  readonly #vectors: Memory;
  readonly #headers: Memory;
  readonly #run = new Memory(layout.msghdr.size);
  readonly #payloads: Memory[] = [];
  readonly #peers: SocketAddress[] = [];
  #names: Memory | null = null;
  #nameAt = 0;
  #nameLength = 0;
  #controls: Memory | null = null;
  #controlAt = 0;
  #controlLength = 0;

  /** @param capacity datagrams */
  constructor(capacity: number) {
    this.#vectors = new Memory(capacity * layout.iovec.size);
    this.#headers = new Memory(capacity * layout.mmsghdr.size);
    for (let index = 0; index < capacity; index++) {
      const header = index * HEADER_WORDS;
      this.#headers.setPointer(header + layout.msghdr.iov / 4, this.#vectors, index * layout.iovec.size);
      this.#headers.words[header + layout.msghdr.iovLength / 4] = 1;
    }
    this.#run.setPointer(layout.msghdr.iov / 4, this.#vectors);
  }

  /** Makes `length` bytes of a block, from byte `at` on, the datagram with this index. */
  setPayload(index: number, payload: Memory, at: number, length: number): void {
    this.#payloads[index] = payload;
    const vector = index * IOVEC_WORDS;
    storePointer(this.#vectors.words, vector, payload.address + at);
    this.#vectors.words[vector + IOVEC_LENGTH_WORD] = length;
  }

  /** The block that has the datagram with this index. */
  payloadOf(index: number): Memory {
    return this.#payloads[index];
  }

  /** Byte of {@link payloadOf} where the datagram begins. */
  startOf(index: number): number {
    return this.#addressOf(index) - this.#payloads[index].address;
  }

  lengthOf(index: number): number {
    return this.#vectors.words[index * IOVEC_WORDS + IOVEC_LENGTH_WORD];
  }

  /** Sets the destination of one datagram, for {@link sendSome}. It has no control messages. */
  setPeer(index: number, peer: SocketAddress): void {
    this.#peers[index] = peer;
    const { words } = this.#headers;
    const header = index * HEADER_WORDS;
    storePointer(words, header + layout.msghdr.name / 4, peer.memory.address);
    words[header + NAME_LENGTH_WORD] = peer.length;
  }

  /**
   * Sets the destination of all datagrams: the sockaddr at byte `nameAt` of a block, and the control messages
   * at byte `controlAt` of another block. Null: no sockaddr, or no control messages.
   */
  setDestination(
    names: Memory | null,
    nameAt: number,
    nameLength: number,
    controls: Memory | null,
    controlAt: number,
    controlLength: number,
  ): void {
    this.#names = names;
    this.#nameAt = nameAt;
    this.#nameLength = nameLength;
    this.#controls = controls;
    this.#controlAt = controlAt;
    this.#controlLength = controlLength;
  }

  /**
   * Sends the first datagram on a connected socket, without control messages.
   * @returns bytes, or -1 with `errno`
   */
  sendFirst(fd: number): number {
    return libc.send(fd, this.#addressOf(0), this.#vectors.words[IOVEC_LENGTH_WORD], FLAGS);
  }

  /**
   * Sends the first `count` datagrams as one run. The control message UDP_SEGMENT tells the kernel where to
   * divide it.
   * @returns -1 with `errno`
   */
  sendAsRun(fd: number, count: number): number {
    this.#run.words[layout.msghdr.iovLength / 4] = count;
    this.#address(this.#run.words, 0);
    return libc.sendmsg(fd, this.#run.address, FLAGS);
  }

  /** Sends one datagram to the destination. @returns bytes, or -1 with `errno` */
  sendOne(fd: number, index: number): number {
    this.#address(this.#headers.words, index * HEADER_WORDS);
    return libc.sendmsg(fd, this.#headers.address + index * layout.mmsghdr.size, FLAGS);
  }

  /** Writes the destination of all into the first `count` headers. Must be called before {@link sendSome}. */
  addressEach(count: number): void {
    const { words } = this.#headers;
    for (let index = 0; index < count; index++) this.#address(words, index * HEADER_WORDS);
  }

  /**
   * Sends the datagrams from index `from` on, without index `end`.
   * @returns how many the kernel took; -1 with `errno`
   */
  sendSome(fd: number, from: number, end: number): number {
    const address = this.#headers.address + from * layout.mmsghdr.size;
    const taken = libc.sendmmsg(fd, address, end - from, FLAGS);
    if (taken >= 0 || errno() !== ENOSYS) return taken;
    // A kernel without sendmmsg, or a seccomp filter that does not know it.
    return libc.sendmsg(fd, address, FLAGS) < 0 ? -1 : 1;
  }

  /** Where the datagram with this index begins. */
  #addressOf(index: number): number {
    const { words } = this.#vectors;
    const vector = index * IOVEC_WORDS;
    const low = words[vector] >>> 0;
    return layout.pointer === 8 ? low + words[vector + 1] * 2 ** 32 : low;
  }

  #address(words: Int32Array, header: number): void {
    storePointer(words, header + layout.msghdr.name / 4, addressIn(this.#names, this.#nameAt));
    words[header + NAME_LENGTH_WORD] = this.#nameLength;
    storePointer(words, header + layout.msghdr.control / 4, addressIn(this.#controls, this.#controlAt));
    words[header + CONTROL_LENGTH_WORD] = this.#controlLength;
  }
}

/** NULL for no block. */
function addressIn(block: Memory | null, at: number): number {
  return block === null ? 0 : block.address + at;
}
