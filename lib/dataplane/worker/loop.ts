import { Epoll } from '../../sys/epoll.js';
import { closeSocket } from '../../sys/socket.js';
import type { DataplaneEvent } from '../shared/messages.js';
import { LoopClock } from './clock.js';
import { DeferredWatches } from './deferredwatches.js';

/** Receives the events of the descriptors it is registered for. */
export interface Watcher {
  /** The owner of the descriptors, for the log: a portal's key. */
  readonly owner: string;
  /**
   * @param events EPOLLIN and others, as epoll reported them
   * @returns 0, or the errno of a descriptor that gave nothing although it was ready
   */
  onReady(fd: number, events: number): number;
}

/** Work that the loop does between waits: timers, and the rest of work that was done in part. */
export interface Task {
  /** When {@link expire} is due, on the loop's clock. Infinity: never. 0: at once. */
  readonly deadline: number;
  expire(now: number): void;
}

const EVENTS_PER_WAIT = 256;
/** The largest timeout that epoll_wait takes. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
/**
 * A descriptor that was ready this many times in a row and gave nothing is not watched for a while. More
 * tries would only keep the processor busy.
 */
const MAX_FRUITLESS = 100;

/**
 * A worker's event loop: epoll over raw descriptors. One thread, one loop, no promises. Each call of a
 * watcher must end after a bounded amount of work, so that no connection starves the others.
 */
export class EventLoop {
  readonly #clock = new LoopClock();
  readonly #epoll = new Epoll(EVENTS_PER_WAIT);
  readonly #watchers: (Watcher | undefined)[] = [];
  readonly #tags: number[] = [];
  /** By descriptor: how many events in a row gave nothing. */
  readonly #fruitless: number[] = [];
  readonly #tasks: Task[] = [];
  readonly #deferred: DeferredWatches;
  #watched = 0;
  /**
   * All events up to this time have been dispatched. Timers use this time: what arrived before a timer's
   * deadline must be handled before the timer fires.
   */
  #seenUntil = Number.NEGATIVE_INFINITY;
  /** The next value of {@link #seenUntil}. */
  #seenNext = this.now;
  /** How many descriptors may have been ready by then and are not dispatched yet. */
  #unseen = 0;
  #isRunning = true;

  /** @param report takes events for the log */
  constructor(report: (event: DataplaneEvent) => void = () => undefined) {
    this.#deferred = new DeferredWatches(this, report);
  }

  /** Milliseconds. The clock is read once after each wait, see {@link LoopClock}. */
  get now(): number {
    return this.#clock.now;
  }

  /** Reads the clock again, for work late in a long turn. */
  readClock(): number {
    this.#clock.read();
    return this.now;
  }

  /** @returns false with `errno` if the kernel cannot watch one more, see {@link Epoll.add} */
  watch(fd: number, events: number, watcher: Watcher): boolean {
    const tag = ((this.#tags[fd] ?? 0) + 1) | 0;
    if (!this.#epoll.add(fd, events, tag)) return false;
    this.#tags[fd] = tag;
    if (this.#watchers[fd] === undefined) this.#watched++;
    this.#watchers[fd] = watcher;
    this.#fruitless[fd] ??= 0;
    return true;
  }

  /** Watches for input (EPOLLIN). If the kernel cannot watch one more, this is tried again later. */
  watchInput(fd: number, watcher: Watcher): void {
    this.#deferred.watch(fd, watcher);
  }

  /** Stops watching a descriptor. The descriptor stays open and belongs to the caller. */
  unwatch(fd: number): void {
    this.#forget(fd);
    this.#epoll.remove(fd);
  }

  /**
   * Closes a descriptor of which no other process has a copy. It may be watched: the kernel removes it from
   * the epoll set when the last copy is closed (epoll(7)). That saves a system call for each connection. If
   * another process had a copy, events would go on: then call {@link unwatch} first.
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
   * A wait that returns fewer events than fit has returned all that were ready when it began. If every wait
   * is full, all have been returned after as many events as there are descriptors: epoll's list is first in,
   * first out (ep_send_events in fs/eventpoll.c puts a descriptor that stays ready at the end).
   */
  #noteSeen(ready: number): void {
    this.#unseen -= ready;
    if (ready === EVENTS_PER_WAIT && this.#unseen > 0) return;
    this.#seenUntil = this.#seenNext;
    this.#seenNext = this.now;
    this.#unseen = this.#watched;
  }

  /**
   * A descriptor may be closed and opened again within one batch. Its tag differs then, and the event of the
   * old descriptor is dropped.
   */
  #dispatch(index: number): void {
    const fd = this.#epoll.fdAt(index);
    if (this.#tags[fd] !== this.#epoll.tagAt(index)) return;
    const watcher = this.#watchers[fd];
    if (watcher === undefined) return;
    const code = watcher.onReady(fd, this.#epoll.eventsAt(index));
    if (code === 0) this.#fruitless[fd] = 0;
    else if (++this.#fruitless[fd] >= MAX_FRUITLESS) this.#rest(fd, watcher, code);
  }

  /** An error that stays must not make the loop busy. */
  #rest(fd: number, watcher: Watcher, code: number): void {
    // The watcher has closed it, and the number may have another owner already.
    if (this.#watchers[fd] !== watcher) return;
    this.unwatch(fd);
    // After the pause it gets one try, and after each failure another pause.
    this.#fruitless[fd] = MAX_FRUITLESS - 1;
    this.#deferred.rest(fd, watcher, code);
  }

  #timeout(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const task of this.#tasks) earliest = Math.min(earliest, task.deadline);
    if (earliest === Number.POSITIVE_INFINITY) return -1;
    return Math.min(Math.max(0, Math.ceil(earliest - this.now)), MAX_TIMEOUT_MS);
  }
}
