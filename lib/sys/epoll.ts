import { checked, EINTR, ENOMEM, ENOSPC, errno, SysError } from './errno.js';
import { layout } from './layout.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;

const EVENT_WORDS = layout.epollEvent.size / 4;
const DATA_WORD = layout.epollEvent.data / 4;

/**
 * An epoll set. Each registration has two words: the descriptor, and a tag that the caller chooses. Both come
 * back with every event. By the tag the caller knows whether the descriptor is still the one that it
 * registered.
 */
export class Epoll {
  readonly #fd = checked('epoll_create1', libc.epollCreate1(EPOLL_CLOEXEC));
  readonly #events: Memory;
  readonly #capacity: number;
  readonly #argument = new Memory(16);

  /** @param capacity the most events that one wait returns */
  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#events = new Memory(capacity * layout.epollEvent.size);
  }

  /**
   * @returns false with `errno` if the kernel has no room: ENOSPC above fs.epoll.max_user_watches, or ENOMEM
   * @throws SysError for errors that stay, for example EBADF
   */
  add(fd: number, events: number, tag: number): boolean {
    const { words } = this.#argument;
    words[0] = events;
    words[DATA_WORD] = fd;
    words[DATA_WORD + 1] = tag;
    if (libc.epollCtl(this.#fd, EPOLL_CTL_ADD, fd, this.#argument.address) === 0) return true;
    const code = errno();
    if (code !== ENOSPC && code !== ENOMEM) throw new SysError('epoll_ctl', code);
    return false;
  }

  /**
   * For descriptors that stay open; close(2) removes a descriptor too. ENOENT, for a descriptor that is not
   * in the set, needs no action.
   */
  remove(fd: number): void {
    libc.epollCtl(this.#fd, EPOLL_CTL_DEL, fd, 0);
  }

  /**
   * Waits for events. @param timeoutMs -1: no limit; 0: do not wait
   * @returns the number of events; read them with eventsAt, fdAt and tagAt before the next call
   */
  wait(timeoutMs: number): number {
    const count = libc.epollWait(this.#fd, this.#events.address, this.#capacity, timeoutMs);
    if (count >= 0) return count;
    const code = errno();
    if (code === EINTR) return 0;
    throw new SysError('epoll_wait', code);
  }

  eventsAt(index: number): number {
    return this.#events.words[index * EVENT_WORDS];
  }

  fdAt(index: number): number {
    return this.#events.words[index * EVENT_WORDS + DATA_WORD];
  }

  tagAt(index: number): number {
    return this.#events.words[index * EVENT_WORDS + DATA_WORD + 1];
  }

  close(): void {
    libc.close(this.#fd);
  }
}
