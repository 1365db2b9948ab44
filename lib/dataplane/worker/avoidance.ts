import type { Target } from './target.js';
import { TimerEntry, TimerList } from './timers.js';

/** New clients avoid an endpoint for this time after it failed, while another endpoint is left. */
const AVOID_MS = 5000;

/** The timer of an endpoint that is avoided. */
class Avoided extends TimerEntry {
  constructor(readonly end: () => void) {
    super();
  }

  onTimer(): void {
    this.end();
  }
}

/**
 * The endpoints of one portal in two parts: the avoided ones, which failed lately, and the preferred ones.
 * Thousands may fail at once, so the time of every step does not depend on their number.
 */
export class Avoidance {
  readonly #avoided = new Map<Target, Avoided>();
  readonly #timers = new TimerList(AVOID_MS);
  /** In no particular order. */
  readonly #preferred: Target[] = [];
  readonly #places = new Map<Target, number>();

  /** @param targets all targets of the portal. Their failedAt decides who is avoided. */
  constructor(targets: readonly Target[], now: number) {
    for (const target of targets) this.#putBack(target);
    const failed = targets.filter(({ failedAt }) => failedAt + AVOID_MS > now);
    for (const target of failed.sort((one, other) => one.failedAt - other.failedAt)) this.add(target);
  }

  has(target: Target): boolean {
    return this.#avoided.has(target);
  }

  /** The endpoints that new clients get. */
  get preferred(): readonly Target[] {
    return this.#preferred;
  }

  get isEmpty(): boolean {
    return this.#avoided.size === 0;
  }

  /** @param target one of the portal's. No other may have failed later. */
  add(target: Target): void {
    const avoided = this.#avoided.get(target) ?? this.#takeOut(target);
    this.#timers.start(avoided, target.failedAt);
  }

  /** Prefers endpoints again whose failure is {@link AVOID_MS} ago. */
  readmit(now: number): void {
    this.#timers.expire(now);
  }

  #putBack(target: Target): void {
    this.#avoided.delete(target);
    this.#places.set(target, this.#preferred.length);
    this.#preferred.push(target);
  }

  /** The last preferred endpoint takes the place of the one that goes. */
  #takeOut(target: Target): Avoided {
    const avoided = new Avoided(() => this.#putBack(target));
    this.#avoided.set(target, avoided);
    const place = this.#places.get(target) as number;
    const last = this.#preferred.pop() as Target;
    if (last !== target) {
      this.#preferred[place] = last;
      this.#places.set(last, place);
    }
    this.#places.delete(target);
    return avoided;
  }
}
