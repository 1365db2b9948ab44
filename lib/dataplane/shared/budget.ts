const LIMIT = 0;
const USED = 1;

/**
 * How many descriptors the connections and flows of all workers may use together. Threads share one table of
 * descriptors, so they share one count, in shared memory. The limit is below that of the process, so the
 * control plane can open sockets and start programs at any time.
 */
export class DescriptorBudget {
  readonly #cells: Int32Array;

  constructor(readonly memory: SharedArrayBuffer = new SharedArrayBuffer(8)) {
    this.#cells = new Int32Array(memory);
  }

  get limit(): number {
    return Atomics.load(this.#cells, LIMIT);
  }

  /** The main thread sets the limit again after each change of listeners. */
  set limit(descriptors: number) {
    Atomics.store(this.#cells, LIMIT, descriptors);
  }

  get used(): number {
    return Atomics.load(this.#cells, USED);
  }

  get isHalfUsed(): boolean {
    return this.used * 2 > this.limit;
  }

  /** Whether the last sixteenth is in use. Then the client with the most connections has to wait. */
  get isTight(): boolean {
    return this.used * 16 > this.limit * 15;
  }

  /** @returns false if fewer than `count` are left; none is taken then */
  take(count: number): boolean {
    const used = Atomics.add(this.#cells, USED, count);
    if (used + count <= this.limit) return true;
    this.give(count);
    return false;
  }

  give(count: number): void {
    Atomics.sub(this.#cells, USED, count);
  }
}
