import { Histogram } from './histogram.js';
import type { LoadResult, Span } from './plan.js';

/** Milliseconds; long against a round trip, short against a measurement. */
const TICK = 50;

/** Counts what was done, and knows when counting begins and ends. */
export class Meter {
  /** Work done so far, warm-up included. */
  total = 0;
  losses = 0;
  /** How long each piece of work took, where the load looks at that; without the warm-up. */
  readonly latencies = new Histogram();
  readonly #start: number;
  readonly #end: number;
  #countedFrom = 0;
  #startedAt = 0;

  constructor({ warmup, duration }: Span) {
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
      this.latencies.clear();
    }
    return now < this.#end;
  }

  result(): LoadResult {
    const { total, losses } = this;
    const seconds = (performance.now() - this.#startedAt) / 1000;
    return {
      rate: (total - this.#countedFrom) / seconds,
      total,
      losses,
      p50: this.latencies.percentile(0.5) / 1000,
      p99: this.latencies.percentile(0.99) / 1000,
    };
  }
}
