import { EPOLLIN } from '../../sys/constants.js';
import { errno, errnoName } from '../../sys/errno.js';
import type { DataplaneEvent } from '../shared/messages.js';
import type { EventLoop, Task, Watcher } from './loop.js';

/** How often, ms, a descriptor is tried again. */
const RETRY = 100;

/**
 * Descriptors that are not watched for now: epoll does not take them, for want of memory or of watches
 * (fs.epoll.max_user_watches), or they were ready again and again and gave nothing.
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

  /** Watches a descriptor as soon as that is possible. */
  watch(fd: number, watcher: Watcher): void {
    if (this.loop.watch(fd, EPOLLIN, watcher)) return;
    this.report({ kind: 'listenerWaits', portal: watcher.owner, reason: errnoName(errno()) });
    this.#wait(fd, watcher);
  }

  /** Leaves a descriptor alone for a while. @param code what it gave instead of what it was ready for */
  rest(fd: number, watcher: Watcher, code: number): void {
    this.report({ kind: 'stuck', portal: watcher.owner, reason: errnoName(code) });
    this.#wait(fd, watcher);
  }

  /** The descriptor closes now, or is watched no longer. */
  forget(fd: number): void {
    this.#waiting.delete(fd);
  }

  expire(now: number): void {
    this.#retryAt = now + RETRY;
    for (const [fd, watcher] of this.#waiting) {
      if (!this.loop.watch(fd, EPOLLIN, watcher)) return;
      this.#waiting.delete(fd);
    }
  }

  /** Whoever waits already does not wait longer for that. */
  #wait(fd: number, watcher: Watcher): void {
    if (this.#waiting.size === 0) this.#retryAt = this.loop.now + RETRY;
    this.#waiting.set(fd, watcher);
  }
}
