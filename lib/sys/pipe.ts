import { F_SETPIPE_SZ, SOCK_CLOEXEC, SOCK_NONBLOCK, SPLICE_F_MOVE, SPLICE_F_NONBLOCK } from './constants.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';

/** pipe(2) takes O_NONBLOCK and O_CLOEXEC, which have the same values as the socket flags. */
const PIPE_FLAGS = SOCK_NONBLOCK | SOCK_CLOEXEC;
const SPLICE_FLAGS = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

const endsCell = new Memory(8);

/**
 * A buffer in the kernel through which splice(2) moves pages, so that bulk data never enters this process.
 */
export class Pipe {
  /** Bytes inside. */
  held = 0;

  private constructor(
    readonly readEnd: number,
    readonly writeEnd: number,
    readonly capacity: number,
  ) {}

  /**
   * @param size wanted capacity, bytes; the kernel gives less if the pipes of the user have too many pages
   *   (pipe(7))
   * @returns null if no descriptor is left
   */
  static open(size: number): Pipe | null {
    if (libc.pipe2(endsCell.address, PIPE_FLAGS) < 0) return null;
    const [readEnd, writeEnd] = endsCell.words;
    const granted = libc.fcntl(writeEnd, F_SETPIPE_SZ, size);
    return new Pipe(readEnd, writeEnd, granted > 0 ? granted : 65536);
  }

  /**
   * Moves up to `length` bytes from a socket into the pipe.
   * @returns bytes, 0 at end of stream, -1 with `errno`
   */
  fill(socket: number, length: number): number {
    const moved = libc.splice(socket, 0, this.writeEnd, 0, length, SPLICE_FLAGS);
    if (moved > 0) this.held += moved;
    return moved;
  }

  /** Moves what the pipe holds to a socket. @returns bytes, -1 with `errno` */
  drain(socket: number): number {
    const moved = libc.splice(this.readEnd, 0, socket, 0, this.held, SPLICE_FLAGS);
    if (moved > 0) this.held -= moved;
    return moved;
  }

  close(): void {
    libc.close(this.readEnd);
    libc.close(this.writeEnd);
  }
}
