import * as libc from './libc.js';
import { Memory } from './memory.js';

/** A buffer for the bytes of stream sockets. It is used for one socket at a time. */
export class StreamBuffer {
  readonly #memory: Memory;

  /** @param size bytes */
  constructor(readonly size: number) {
    this.#memory = new Memory(size);
  }

  /**
   * Reads the bytes that a descriptor has, at most {@link size}.
   * @returns bytes, 0 at the end of the stream, -1 with `errno`
   */
  read(fd: number): number {
    return libc.read(fd, this.#memory.address, this.size);
  }

  /**
   * Sends the first `length` bytes, with flags of send(2).
   * @returns how many the kernel took, -1 with `errno`
   */
  send(fd: number, length: number, flags: number): number {
    return libc.send(fd, this.#memory.address, length, flags);
  }

  /**
   * Writes bytes from outside the buffer, at most {@link size} of them. They replace the content of the
   * buffer.
   * @returns how many the kernel took, -1 with `errno`
   */
  write(fd: number, kept: Uint8Array): number {
    this.#memory.bytes.set(kept);
    return libc.write(fd, this.#memory.address, kept.length);
  }

  /** A copy of the bytes from `start` up to `end`. */
  copy(start: number, end: number): Buffer {
    return Buffer.from(this.#memory.bytes.subarray(start, end));
  }
}
