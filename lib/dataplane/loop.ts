import { Epoll } from '../sys/epoll.js';

/** Receives the events of the descriptors it is registered for. */
export interface Watcher {
  /** @param events EPOLLIN and friends, as epoll reported them */
  onReady(fd: number, events: number): void;
}

/** Work that the loop does between waits: timers and what is left over from a bounded step. */
export interface Task {
  /** When it wants to run next, on the loop's clock; Infinity for never, 0 for at once. */
  readonly deadline: number;
  expire(now: number): void;
}

const EVENTS_PER_WAIT = 256;

/**
 * A worker's event loop: epoll over raw descriptors. One thread, one loop, no promises; whatever a watcher does must
 * be bounded, so that no connection starves the others.
 */
export class EventLoop {
  /** Milliseconds of a monotonic clock, read once after each wait. */
  now = performance.now();
  readonly #epoll = new Epoll(EVENTS_PER_WAIT);
  readonly #watchers: (Watcher | undefined)[] = [];
  readonly #tags: number[] = [];
  readonly #tasks: Task[] = [];
  #running = true;

  /** @returns false with `errno` where the kernel is short of something, see {@link Epoll.add} */
  watch(fd: number, events: number, watcher: Watcher): boolean {
    const tag = ((this.#tags[fd] ?? 0) + 1) | 0;
    if (!this.#epoll.add(fd, events, tag)) return false;
    this.#tags[fd] = tag;
    this.#watchers[fd] = watcher;
    return true;
  }

  /** Forgets a descriptor that stays open. */
  unwatch(fd: number): void {
    this.#watchers[fd] = undefined;
    this.#epoll.remove(fd);
  }

  /** Forgets a descriptor that the caller closes now: the kernel takes it out of the epoll set by itself. */
  forget(fd: number): void {
    this.#watchers[fd] = undefined;
  }

  addTask(task: Task): void {
    this.#tasks.push(task);
  }

  stop(): void {
    this.#running = false;
  }

  run(): void {
    while (this.#running) {
      const ready = this.#epoll.wait(this.#timeout());
      this.now = performance.now();
      for (let i = 0; i < ready; i++) this.#dispatch(i);
      for (const task of this.#tasks) {
        if (task.deadline <= this.now) task.expire(this.now);
      }
    }
    this.#epoll.close();
  }

  /** A descriptor closed and opened again within one batch must not get the old one's event: its tag differs. */
  #dispatch(index: number): void {
    const fd = this.#epoll.fdAt(index);
    if (this.#tags[fd] !== this.#epoll.tagAt(index)) return;
    this.#watchers[fd]?.onReady(fd, this.#epoll.eventsAt(index));
  }

  #timeout(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const task of this.#tasks) earliest = Math.min(earliest, task.deadline);
    if (earliest === Number.POSITIVE_INFINITY) return -1;
    return Math.max(0, Math.ceil(earliest - this.now));
  }
}
