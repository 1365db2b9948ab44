/**
 * A change waits so long, ms, for those that come with it, such as a Service's slices. What the server sends
 * in one piece is read before any timer runs, so that this is only for the other watch; what comes later
 * makes a second, small change.
 */
const GATHER_MS = 1;
/** In a storm of changes, work is done so often, ms, at most… */
const PERIOD_MS = 250;
/** …and so many times at once after a quiet time: a rollout's first changes are not a storm yet. */
const BURST = 4;

/** Runs work soon after a request. Several requests share one run, and the number of runs is limited. */
export class Coalescer {
  readonly #work: () => void;
  #timer: NodeJS.Timeout | undefined;
  /** When all work so far would have been done, one piece a period. */
  #spentUntil = Number.NEGATIVE_INFINITY;

  constructor(work: () => void) {
    this.#work = work;
  }

  request(): void {
    const rest = this.#spentUntil - (BURST - 1) * PERIOD_MS - performance.now();
    this.#timer ??= setTimeout(() => this.#run(), Math.max(GATHER_MS, rest));
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #run(): void {
    this.#timer = undefined;
    this.#spentUntil = Math.max(this.#spentUntil, performance.now()) + PERIOD_MS;
    this.#work();
  }
}
