import { Histogram } from './histogram.js';
import type { LoadResult, Span } from './plan.js';

/** Milliseconds. Long compared with a round trip, short compared with a measurement. */
const MAX_WAIT_MS = 50;

/** Counts the work of a measurement, and knows when counting begins and ends. */
export class Meter {
  /** Pieces of work so far. Those of the warm-up are included. */
  total = 0;
  losses = 0;
  /** The time of each piece of work after the warm-up. Empty for loads that do not measure it. */
  readonly latencies = new Histogram();
  readonly #start: number;
  readonly #end: number;
  #countedFrom = 0;
  #startedAt = 0;

  constructor({ warmup, duration }: Span) {
    this.#start = performance.now() + warmup * 1000;
    this.#end = this.#start + duration * 1000;
  }

  /** Milliseconds that a wait for events may last. */
  readonly waitMs = MAX_WAIT_MS;

  /** Reads the clock, and begins to count after the warm-up. @returns whether time is left */
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
