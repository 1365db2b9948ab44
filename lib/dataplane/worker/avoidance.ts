import type { Target } from './target.js';
import { type TimerEntry, TimerList } from './timers.js';

/** How long new clients avoid an endpoint that failed, ms, while others live. */
const AVOID_MS = 5000;

/** An endpoint that failed lately. */
class Avoided implements TimerEntry {
  timerPrevious: TimerEntry | null = null;
  timerNext: TimerEntry | null = null;
  timerDeadline = 0;
  timerList: TimerList | null = null;

  constructor(readonly onTimer: () => void) {}
}

/**
 * The endpoints of one portal in two parts: those that failed lately, and the others. Every step takes the
 * same time however many there are, as thousands may fail at once.
 */
export class Avoidance {
  readonly #avoided = new Map<Target, Avoided>();
  readonly #timers = new TimerList(AVOID_MS);
  /** In any order. */
  readonly #others: Target[] = [];
  readonly #places = new Map<Target, number>();

  /** @param targets all of the portal, with the times of their failures */
  constructor(targets: readonly Target[], now: number) {
    for (const target of targets) this.#putBack(target);
    const failed = targets.filter(({ failedAt }) => failedAt + AVOID_MS > now);
    for (const target of failed.sort((one, other) => one.failedAt - other.failedAt)) this.add(target);
  }

  has(target: Target): boolean {
    return this.#avoided.has(target);
  }

  /** Those that new clients may be led to. */
  get others(): readonly Target[] {
    return this.#others;
  }

  get isOver(): boolean {
    return this.#avoided.size === 0;
  }

  /** @param target one of the portal's; its failure is the latest of all */
  add(target: Target): void {
    const avoided = this.#avoided.get(target) ?? this.#takeOut(target);
    this.#timers.start(avoided, target.failedAt);
  }

  /** Puts back those whose failure is long enough ago. */
  readmit(now: number): void {
    this.#timers.expire(now);
  }

  #putBack(target: Target): void {
    this.#avoided.delete(target);
    this.#places.set(target, this.#others.length);
    this.#others.push(target);
  }

  /** The last one takes its place. */
  #takeOut(target: Target): Avoided {
    const avoided = new Avoided(() => this.#putBack(target));
    this.#avoided.set(target, avoided);
    const place = this.#places.get(target) as number;
    const last = this.#others.pop() as Target;
    if (last !== target) {
      this.#others[place] = last;
      this.#places.set(last, place);
    }
    this.#places.delete(target);
    return avoided;
  }
}
