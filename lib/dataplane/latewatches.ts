import { EPOLLIN } from '../sys/constants.js';
import { errno, errnoName } from '../sys/errno.js';
import type { EventLoop, Task, Watcher } from './loop.js';
import type { DataplaneEvent } from './messages.js';

/** How often, ms, a listener is tried again. */
const RETRY = 100;

/** Listeners that epoll does not take for now, for want of memory or of watches (fs.epoll.max_user_watches). */
export class LateWatches implements Task {
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

  /** Watches a listener as soon as that is possible. @param portal for the log */
  watch(fd: number, listener: Watcher, portal: string): void {
    if (this.loop.watch(fd, EPOLLIN, listener)) return;
    this.report({ kind: 'listenerWaits', portal, reason: errnoName(errno()) });
    this.#waiting.set(fd, listener);
    this.#retryAt = this.loop.now + RETRY;
  }

  /** The listener closes now. */
  forget(fd: number): void {
    this.#waiting.delete(fd);
    this.loop.forget(fd);
  }

  expire(now: number): void {
    this.#retryAt = now + RETRY;
    for (const [fd, listener] of this.#waiting) {
      if (!this.loop.watch(fd, EPOLLIN, listener)) return;
      this.#waiting.delete(fd);
    }
  }
}
