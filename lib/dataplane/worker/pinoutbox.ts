import type { PinChange } from '../shared/pins.js';
import type { Task } from './loop.js';
import { changeOf, type Pin } from './pin.js';

/** Time between two messages to the main thread. The first change after a pause is sent at once. */
const PERIOD_MS = 200;
/**
 * The same while more changes wait. With {@link MAX_CHANGES}, a worker tells 5000 changes a second at most: a
 * flood of forged clients must not keep the main thread busy.
 */
const BACKLOG_PERIOD_MS = 50;
/** Limit of changes in one message: they take a few milliseconds on a slow board. */
const MAX_CHANGES = 250;

/** Tells the main thread which pins have changed. The main thread keeps them for the next run. */
export class PinOutbox implements Task {
  readonly #tell: (changes: readonly PinChange[]) => void;
  /** In the order of their first change. */
  readonly #changed = new Set<Pin>();
  #nextAt = Number.NEGATIVE_INFINITY;

  constructor(tell: (changes: readonly PinChange[]) => void) {
    this.#tell = tell;
  }

  get deadline(): number {
    return this.#changed.size === 0 ? Number.POSITIVE_INFINITY : this.#nextAt;
  }

  /** How many changes wait. */
  get size(): number {
    return this.#changed.size;
  }

  /** Notes that a pin has changed. The message has the state of the pin when it is sent. */
  add(pin: Pin): void {
    this.#changed.add(pin);
  }

  /** Notes that a pin is gone. If the main thread does not know it, there is nothing to tell. */
  addGone(pin: Pin): void {
    if (pin.isKnown) this.#changed.add(pin);
    else this.#changed.delete(pin);
  }

  /** Sends some changes. */
  expire(now: number): void {
    const time = Date.now();
    const changes: PinChange[] = [];
    for (const pin of this.#changed) {
      this.#changed.delete(pin);
      pin.isKnown = true;
      pin.toldUseAt = pin.usedAt;
      if (changes.push(changeOf(pin, now, time)) === MAX_CHANGES) break;
    }
    this.#nextAt = now + (this.#changed.size === 0 ? PERIOD_MS : BACKLOG_PERIOD_MS);
    this.#tell(changes);
  }

  /** Sends all changes, before the thread ends. */
  flush(now: number): void {
    while (this.#changed.size > 0) this.expire(now);
  }
}
