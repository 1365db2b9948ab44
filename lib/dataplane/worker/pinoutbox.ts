import type { PinChange } from '../shared/pins.js';
import type { Task } from './loop.js';
import { changeOf, type Pin } from './pin.js';

/** Time between two messages to the main thread. The first change after a pause is sent at once. */
const PERIOD_MS = 200;
/** Limit of changes in one message: they take a few milliseconds on a slow board. */
const MAX_CHANGES = 250;

/** Tells the main thread which pins have changed. The main thread keeps them for the next run. */
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

  /** Notes that a pin has changed. The message has the state of the pin when it is sent. */
  add(pin: Pin): void {
    if (pin.isUntold) return;
    pin.isUntold = true;
    this.#changed.push(pin);
  }

  /** Sends some changes. The loop relays before the next ones. */
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

  /** Sends all changes, before the thread ends. */
  flush(now: number): void {
    while (this.#changed.length > 0) this.expire(now);
  }
}
