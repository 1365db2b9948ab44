import type { PinChange } from '../shared/pins.js';
import type { Task } from './loop.js';
import { changeOf, type Pin } from './pin.js';

/** Milliseconds between two messages to the main thread. The first change after a pause is told at once. */
const PERIOD_MS = 200;
/** Changes in one message. To make them takes a few milliseconds, also on a slow board. */
const MAX_CHANGES = 1000;

/** Tells the main thread which pins have changed. It keeps them for the next run. */
export class PinOutbox implements Task {
  readonly #tell: (changes: readonly PinChange[]) => void;
  /** In the order of their first change. */
  #changed: Pin[] = [];
  #nextAt = Number.NEGATIVE_INFINITY;

  constructor(tell: (changes: readonly PinChange[]) => void) {
    this.#tell = tell;
  }

  get deadline(): number {
    return this.#changed.length === 0 ? Number.POSITIVE_INFINITY : this.#nextAt;
  }

  /** What is told is the pin's state at that later time. */
  add(pin: Pin): void {
    if (pin.isUntold) return;
    pin.isUntold = true;
    this.#changed.push(pin);
  }

  /** Tells of some changes. The loop relays before the next ones. */
  expire(now: number): void {
    const time = Date.now();
    const told = this.#changed.splice(0, MAX_CHANGES);
    const changes = told.map((pin) => {
      pin.isUntold = false;
      pin.toldUseAt = pin.usedAt;
      return changeOf(pin, now, time);
    });
    if (this.#changed.length === 0) this.#nextAt = now + PERIOD_MS;
    this.#tell(changes);
  }

  /** Tells of all changes, before the thread ends. */
  flush(now: number): void {
    while (this.#changed.length > 0) this.expire(now);
  }
}
