/** A step is a stall if it takes this much longer than it was meant to take. */
const STALL_MS = 50;

/**
 * The clock of a worker's loop, ms. A stall (the thread is stopped or throttled, or its machine is paused)
 * counts as {@link STALL_MS} only. So no time-out ends because this thread could not read in time.
 */
export class LoopClock {
  readonly #source: () => number;
  #read: number;
  #now: number;

  /** @param source a monotonic clock, ms */
  constructor(source = () => performance.now()) {
    this.#source = source;
    this.#read = source();
    this.#now = this.#read;
  }

  /** The time of the last reading. */
  get now(): number {
    return this.#now;
  }

  /**
   * Reads the source again.
   * @param asleepMs the longest time that the thread may have slept on purpose since the last reading
   */
  read(asleepMs = 0): void {
    const read = this.#source();
    const elapsed = read - this.#read;
    this.#read = read;
    this.#now += elapsed > asleepMs + STALL_MS ? STALL_MS : elapsed;
  }
}
