/** A step that takes so much longer, ms, than it was meant to is a stall. */
const STALL = 50;

/**
 * The clock of a worker's loop, ms. While the thread is held up (stopped, throttled, its machine paused) it
 * moves by a little only, so that nobody is late whom this thread could not hear.
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
   * Reads it anew.
   * @param asleep how long, ms, the thread has slept on purpose since the last reading, at most
   */
  read(asleep = 0): void {
    const read = this.#source();
    const elapsed = read - this.#read;
    this.#read = read;
    this.#now += elapsed > asleep + STALL ? STALL : elapsed;
  }
}
