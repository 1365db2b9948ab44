import { Epoll } from '../../sys/epoll.js';
import { closeSocket } from '../../sys/socket.js';
import type { DataplaneEvent } from '../shared/messages.js';
import { LoopClock } from './clock.js';
import { DeferredWatches } from './deferredwatches.js';

/** Receives the events of the descriptors it is registered for. */
export interface Watcher {
  /** Whose descriptors they are, for the log: a portal's key. */
  readonly owner: string;
  /**
   * @param events EPOLLIN and friends, as epoll reported them
   * @returns 0, or the errno of a descriptor that gave nothing although it was ready
   */
  onReady(fd: number, events: number): number;
}

/** Work that the loop does between waits: timers and what is left over from a bounded step. */
export interface Task {
  /** When it wants to run next, on the loop's clock; Infinity for never, 0 for at once. */
  readonly deadline: number;
  expire(now: number): void;
}

const EVENTS_PER_WAIT = 256;
/** What epoll_wait's timeout can hold, ms. */
const MOST_TIMEOUT = 2 ** 31 - 1;
/**
 * A descriptor that was ready this many times in a row, and gave nothing each time, rests: more tries would
 * only keep the processor busy.
 */
const MOST_FRUITLESS = 100;

/**
 * A worker's event loop: epoll over raw descriptors. One thread, one loop, no promises; whatever a watcher
 * does must be bounded, so that no connection starves the others.
 */
export class EventLoop {
  readonly #clock = new LoopClock();
  readonly #epoll = new Epoll(EVENTS_PER_WAIT);
  readonly #watchers: (Watcher | undefined)[] = [];
  readonly #tags: number[] = [];
  /** By descriptor: how many events in a row have led to nothing. */
  readonly #fruitless: number[] = [];
  readonly #tasks: Task[] = [];
  readonly #deferred: DeferredWatches;
  #watched = 0;
  /**
   * All that was ready by this time has been dispatched. Timers go by it: who was in time must be heard
   * first.
   */
  #seenUntil = Number.NEGATIVE_INFINITY;
  /** The next such time, and how many descriptors may have been ready by then that are not dispatched yet. */
  #seenNext = this.now;
  #unseen = 0;
  #isRunning = true;

  /** @param report takes events for the log */
  constructor(report: (event: DataplaneEvent) => void = () => undefined) {
    this.#deferred = new DeferredWatches(this, report);
  }

  /** Milliseconds of a clock that is read once after each wait, and stands still in a stall. */
  get now(): number {
    return this.#clock.now;
  }

  /** Reads the clock for work that comes late in a long turn. */
  readClock(): number {
    this.#clock.read();
    return this.now;
  }

  /** @returns false with `errno` where the kernel is short of something, see {@link Epoll.add} */
  watch(fd: number, events: number, watcher: Watcher): boolean {
    const tag = ((this.#tags[fd] ?? 0) + 1) | 0;
    if (!this.#epoll.add(fd, events, tag)) return false;
    this.#tags[fd] = tag;
    if (this.#watchers[fd] === undefined) this.#watched++;
    this.#watchers[fd] = watcher;
    this.#fruitless[fd] ??= 0;
    return true;
  }

  /** Watches for what comes in, as soon as the kernel has what it takes. */
  watchInput(fd: number, watcher: Watcher): void {
    this.#deferred.watch(fd, watcher);
  }

  /** Watches a descriptor no longer. It stays open: the caller keeps it, or hands it on. */
  unwatch(fd: number): void {
    this.#forget(fd);
    this.#epoll.remove(fd);
  }

  /**
   * Closes a descriptor, watched or not, that nobody else has. The kernel takes it out of the epoll set with
   * its last copy (epoll(7)), which saves a call for every connection; while another process has a copy,
   * events would go on, and {@link unwatch} must come first.
   */
  closeUnshared(fd: number): void {
    this.#forget(fd);
    closeSocket(fd);
  }

  #forget(fd: number): void {
    this.#deferred.forget(fd);
    this.#fruitless[fd] = 0;
    if (this.#watchers[fd] === undefined) return;
    this.#watchers[fd] = undefined;
    this.#watched--;
  }

  addTask(task: Task): void {
    this.#tasks.push(task);
  }

  stop(): void {
    this.#isRunning = false;
  }

  run(): void {
    this.#unseen = this.#watched;
    while (this.#isRunning) {
      const timeout = this.#timeout();
      const ready = this.#epoll.wait(timeout);
      this.#clock.read(timeout < 0 ? Number.POSITIVE_INFINITY : timeout);
      for (let i = 0; i < ready; i++) this.#dispatch(i);
      this.#noteSeen(ready);
      for (const task of this.#tasks) {
        if (task.deadline <= this.#seenUntil) task.expire(this.#seenUntil);
      }
    }
    this.#epoll.close();
  }

  /**
   * A wait that is not full has brought all that was ready when it began. Under a load that fills every wait,
   * all has been brought once there were as many events as descriptors: epoll's list is first in, first out
   * (ep_send_events in fs/eventpoll.c puts what stays ready at its end).
   */
  #noteSeen(ready: number): void {
    this.#unseen -= ready;
    if (ready === EVENTS_PER_WAIT && this.#unseen > 0) return;
    this.#seenUntil = this.#seenNext;
    this.#seenNext = this.now;
    this.#unseen = this.#watched;
  }

  /**
   * A descriptor closed and opened again within one batch must not get the old one's event: its tag differs.
   */
  #dispatch(index: number): void {
    const fd = this.#epoll.fdAt(index);
    if (this.#tags[fd] !== this.#epoll.tagAt(index)) return;
    const watcher = this.#watchers[fd];
    if (watcher === undefined) return;
    const code = watcher.onReady(fd, this.#epoll.eventsAt(index));
    if (code === 0) this.#fruitless[fd] = 0;
    else if (++this.#fruitless[fd] >= MOST_FRUITLESS) this.#rest(fd, watcher, code);
  }

  /** Whatever error it is that stays, it must not become a busy loop. */
  #rest(fd: number, watcher: Watcher, code: number): void {
    // Closed meanwhile; the number may have another owner already.
    if (this.#watchers[fd] !== watcher) return;
    this.unwatch(fd);
    // From now on it gets one try at a time, until one succeeds.
    this.#fruitless[fd] = MOST_FRUITLESS - 1;
    this.#deferred.rest(fd, watcher, code);
  }

  #timeout(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const task of this.#tasks) earliest = Math.min(earliest, task.deadline);
    if (earliest === Number.POSITIVE_INFINITY) return -1;
    return Math.min(Math.max(0, Math.ceil(earliest - this.now)), MOST_TIMEOUT);
  }
}
