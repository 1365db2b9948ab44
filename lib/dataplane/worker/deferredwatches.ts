import { EPOLLIN } from '../../sys/constants.js';
import { errno, errnoName } from '../../sys/errno.js';
import type { DataplaneEvent } from '../shared/messages.js';
import type { EventLoop, Task, Watcher } from './loop.js';

/** After this time, deferred descriptors are tried again. */
const RETRY_MS = 100;

/**
 * Descriptors that the loop should watch, but cannot at the moment. Either epoll does not take them, because
 * the kernel is out of memory or of watches (fs.epoll.max_user_watches). Or they were ready many times in a
 * row and gave nothing.
 */
export class DeferredWatches implements Task {
  readonly #waiting = new Map<number, Watcher>();
  #retryAt = 0;

  constructor(
    readonly loop: EventLoop,
    readonly report: (event: DataplaneEvent) => void,
  ) {
    loop.addTask(this);
  }

  get deadline(): number {
    return this.#waiting.size > 0 ? this.#retryAt : Number.POSITIVE_INFINITY;
  }

  /** Watches a descriptor now, or as soon as epoll takes it. */
  watch(fd: number, watcher: Watcher): void {
    if (this.loop.watch(fd, EPOLLIN, watcher)) return;
    this.report({ kind: 'listenerWaits', portal: watcher.owner, reason: errnoName(errno()) });
    this.#wait(fd, watcher);
  }

  /** Does not watch a descriptor for a while. @param code the errno that it gave although it was ready */
  rest(fd: number, watcher: Watcher, code: number): void {
    this.report({ kind: 'stuck', portal: watcher.owner, reason: errnoName(code) });
    this.#wait(fd, watcher);
  }

  /** Forgets a descriptor that is closed, or that nobody watches any more. */
  forget(fd: number): void {
    this.#waiting.delete(fd);
  }

  expire(now: number): void {
    this.#retryAt = now + RETRY_MS;
    for (const [fd, watcher] of this.#waiting) {
      if (!this.loop.watch(fd, EPOLLIN, watcher)) return;
      this.#waiting.delete(fd);
    }
  }

  /** The time until the next try starts with the first descriptor that waits. */
  #wait(fd: number, watcher: Watcher): void {
    if (this.#waiting.size === 0) this.#retryAt = this.loop.now + RETRY_MS;
    this.#waiting.set(fd, watcher);
  }
}
