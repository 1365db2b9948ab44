import type { LoadPlan, LoadResult } from './plan.js';

/** Milliseconds; long against a round trip, short against a measurement. */
const TICK = 50;

/** Counts what was done, and knows when counting begins and ends. */
export class Meter {
  /** Work done so far, warm-up included. */
  total = 0;
  losses = 0;
  readonly #start: number;
  readonly #end: number;
  #countedFrom = 0;
  #startedAt = 0;

  constructor({ warmup, duration }: LoadPlan) {
    this.#start = performance.now() + warmup * 1000;
    this.#end = this.#start + duration * 1000;
  }

  /** How long a wait for events may last, ms. */
  readonly timeout = TICK;

  /** Looks at the clock. @returns whether there is time left */
  goesOn(): boolean {
    const now = performance.now();
    if (this.#startedAt === 0 && now >= this.#start) {
      this.#startedAt = now;
      this.#countedFrom = this.total;
    }
    return now < this.#end;
  }

  result(): LoadResult {
    const seconds = (performance.now() - this.#startedAt) / 1000;
    return { amount: this.total - this.#countedFrom, seconds, total: this.total, losses: this.losses };
  }
}
