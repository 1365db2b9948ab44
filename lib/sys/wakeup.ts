import { EFD_CLOEXEC, EFD_NONBLOCK } from './constants.js';
import { checked, errno } from './errno.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';

/** An eventfd: wakes a thread that sleeps in epoll_wait. */
export class Wakeup {
  readonly #cell = new Memory(8);

  private constructor(readonly fd: number) {}

  static open(): Wakeup {
    return new Wakeup(checked('eventfd', libc.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)));
  }

  /** The same eventfd, seen from another thread of this process. */
  static from(fd: number): Wakeup {
    return new Wakeup(fd);
  }

  /**
   * The result is ignored: the write fails only if 2^64 signals wait (EAGAIN, eventfd(2)), and then the
   * thread wakes too.
   */
  signal(): void {
    this.#cell.words[0] = 1;
    this.#cell.words[1] = 0;
    libc.write(this.fd, this.#cell.address, 8);
  }

  /** @returns 0, or the errno if the signals could not be cleared */
  clear(): number {
    return libc.read(this.fd, this.#cell.address, 8) < 0 ? errno() : 0;
  }

  close(): void {
    libc.close(this.fd);
  }
}
