/**
 * How many descriptors connections and flows may use, all workers together: threads share one table, so they
 * share one count, in shared memory. What is kept back lets the control plane open sockets and start programs
 * at any time.
 */
const LIMIT = 0;
const USED = 1;

export class DescriptorBudget {
  readonly #cells: Int32Array;

  constructor(readonly memory: SharedArrayBuffer = new SharedArrayBuffer(8)) {
    this.#cells = new Int32Array(memory);
  }

  get limit(): number {
    return Atomics.load(this.#cells, LIMIT);
  }

  /** Listeners come and go, so the main thread sets it again with each change. */
  set limit(descriptors: number) {
    Atomics.store(this.#cells, LIMIT, descriptors);
  }

  get used(): number {
    return Atomics.load(this.#cells, USED);
  }

  get isHalfUsed(): boolean {
    return this.used * 2 > this.limit;
  }

  /** The last sixteenth is in use: from here on clients are told apart. */
  get isTight(): boolean {
    return this.used * 16 > this.limit * 15;
  }

  /** @returns false, and takes nothing, where they are not to be had */
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
