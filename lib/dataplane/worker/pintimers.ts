import type { Pin } from './pin.js';
import { TimerList } from './timers.js';

/** A restored pin may live so much longer: the two clocks do not agree to the millisecond. */
const RESTORED_SLACK_MS = 1000;

/** When the pins of a worker end. */
export class PinTimers {
  /** One list for each time-out. Restored pins have lists with a delay of 0. */
  readonly #lists: TimerList[] = [];

  /** When the first pin ends; Infinity if there is none. */
  get deadline(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { deadline } of this.#lists) earliest = Math.min(earliest, deadline);
    return earliest;
  }

  /** The least recently used pin. */
  get oldest(): Pin | null {
    let oldest: Pin | null = null;
    for (const { first } of this.#lists) {
      const pin = first as Pin | null;
      if (pin !== null && (oldest === null || pin.usedAt < oldest.usedAt)) oldest = pin;
    }
    return oldest;
  }

  /** Starts the time of a pin again. */
  start(pin: Pin, timeoutMs: number, now: number): void {
    pin.timeoutMs = timeoutMs;
    const list = this.#lists.find(({ delayMs }) => delayMs === timeoutMs) ?? this.#add(timeoutMs);
    list.start(pin, now);
  }

  /** Lets a restored pin end at a time. Those that end first must come first, so that they need few lists. */
  startRestored(pin: Pin, timeoutMs: number, end: number): void {
    pin.timeoutMs = timeoutMs;
    const isFit = (list: TimerList) => list.delayMs === 0 && list.lastDeadline - end < RESTORED_SLACK_MS;
    const list = this.#lists.find(isFit) ?? this.#add(0);
    list.start(pin, Math.max(end, list.lastDeadline));
  }

  /** Ends the pins whose time is over. */
  expire(now: number): void {
    for (let i = this.#lists.length - 1; i >= 0; i--) {
      const list = this.#lists[i];
      list.expire(now);
      if (list.first === null) this.#lists.splice(i, 1);
    }
  }

  #add(delayMs: number): TimerList {
    const list = new TimerList(delayMs);
    this.#lists.push(list);
    return list;
  }
}
