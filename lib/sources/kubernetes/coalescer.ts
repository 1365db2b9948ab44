/** A change waits so long, ms, for those that come with it, such as a Service's slices. */
const GATHER_MS = 5;
/** In a storm of changes, work is done so often, ms, at most. */
const PERIOD_MS = 250;

/** Runs work soon after it is asked for, once for any number of requests, and not too often. */
export class Coalescer {
  readonly #work: () => void;
  #timer: NodeJS.Timeout | undefined;
  #last = Number.NEGATIVE_INFINITY;

  constructor(work: () => void) {
    this.#work = work;
  }

  request(): void {
    const rest = this.#last + PERIOD_MS - performance.now();
    this.#timer ??= setTimeout(() => this.#run(), Math.max(GATHER_MS, rest));
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #run(): void {
    this.#timer = undefined;
    this.#work();
    this.#last = performance.now();
  }
}
