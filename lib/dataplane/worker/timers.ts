/** An entry of a {@link TimerList}. Only the list sets the four fields. */
export abstract class TimerEntry {
  timerPrevious: TimerEntry | null = null;
  timerNext: TimerEntry | null = null;
  timerDeadline = 0;
  timerList: TimerList | null = null;

  abstract onTimer(now: number): void;
}

/**
 * Timers of one constant delay. A new timer goes to the end, so the list is always sorted and every operation
 * is O(1). JavaScript's own timers do not fire in a thread that sleeps in epoll_wait. Times are milliseconds
 * of the loop's clock.
 */
export class TimerList {
  #head: TimerEntry | null = null;
  #tail: TimerEntry | null = null;

  constructor(readonly delayMs: number) {}

  /** The earliest deadline; Infinity if the list is empty. */
  get deadline(): number {
    return this.#head === null ? Number.POSITIVE_INFINITY : this.#head.timerDeadline;
  }

  /** The entry with the earliest deadline. */
  get first(): TimerEntry | null {
    return this.#head;
  }

  /** The latest deadline; -Infinity if the list is empty. */
  get lastDeadline(): number {
    return this.#tail === null ? Number.NEGATIVE_INFINITY : this.#tail.timerDeadline;
  }

  /** Starts the entry's timer. A timer of the entry that runs in any list is stopped first. */
  start(entry: TimerEntry, now: number): void {
    entry.timerList?.stop(entry);
    entry.timerList = this;
    entry.timerDeadline = now + this.delayMs;
    entry.timerPrevious = this.#tail;
    entry.timerNext = null;
    if (this.#tail === null) this.#head = entry;
    else this.#tail.timerNext = entry;
    this.#tail = entry;
  }

  stop(entry: TimerEntry): void {
    if (entry.timerList !== this) return;
    if (entry.timerPrevious === null) this.#head = entry.timerNext;
    else entry.timerPrevious.timerNext = entry.timerNext;
    if (entry.timerNext === null) this.#tail = entry.timerPrevious;
    else entry.timerNext.timerPrevious = entry.timerPrevious;
    entry.timerList = null;
    entry.timerPrevious = null;
    entry.timerNext = null;
  }

  /** Fires each entry that is due, after it has left the list. */
  expire(now: number): void {
    while (this.#head !== null && this.#head.timerDeadline <= now) {
      const entry = this.#head;
      this.stop(entry);
      entry.onTimer(now);
    }
  }
}
