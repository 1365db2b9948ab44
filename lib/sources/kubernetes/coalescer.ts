/**
 * Milliseconds from a change to the work, so that a change of the other watch can share it: a Service and its
 * slices often change together. Events that the server sends in one piece are read before any timer runs, and
 * need no delay.
 */
const GATHER_MS = 1;
/** If many changes come, the work runs once in so many milliseconds at most. */
const PERIOD_MS = 250;
/** After a quiet time, so many runs need not wait for the period. A rollout starts with a few changes. */
const BURST = 4;

/** Runs work soon after a request. Several requests share one run, and the number of runs is limited. */
export class Coalescer {
  readonly #work: () => void;
  #timer: NodeJS.Timeout | undefined;
  /** The time (performance.now) at which all runs until now would end, if each took one period. */
  #spentUntil = Number.NEGATIVE_INFINITY;

  constructor(work: () => void) {
    this.#work = work;
  }

  request(): void {
    const restMs = this.#spentUntil - (BURST - 1) * PERIOD_MS - performance.now();
    this.#timer ??= setTimeout(() => this.#run(), Math.max(GATHER_MS, restMs));
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
