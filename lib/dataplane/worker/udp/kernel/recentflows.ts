import { type Ends, EndsKeys, NO_SLOT } from '../../kernel/endskeys.js';
import type { Target } from '../../target.js';

/** Flows that are remembered. */
const CAPACITY = 4096;
/** For this time, ms: so long the kernel keeps an entry without an answer. */
const WINDOW_MS = 30_000;

/**
 * Where the first datagrams of flows went lately. Several may wait in the queue before the flow has its
 * entry, and all have one endpoint. A new flow takes the place of the oldest.
 */
export class RecentFlows {
  readonly #keys = new EndsKeys(CAPACITY);
  readonly #targets: (Target | null)[] = new Array(CAPACITY).fill(null);
  readonly #addedAt = new Float64Array(CAPACITY);
  #next = 0;

  /**
   * The endpoint of a flow. Null if it has none, or if that is gone or has failed since.
   * @param now loop clock, ms
   */
  targetOf(flow: Ends, now: number): Target | null {
    const slot = this.#keys.find(flow);
    if (slot === NO_SLOT) return null;
    const target = this.#targets[slot] as Target;
    const addedAt = this.#addedAt[slot];
    const isOver = now - addedAt >= WINDOW_MS || target.isRemoved || target.failedAt > addedAt;
    if (isOver) this.#delete(slot);
    return isOver ? null : target;
  }

  /** Remembers a flow that {@link targetOf} has not found. */
  add(flow: Ends, target: Target, now: number): void {
    const slot = this.#next;
    this.#next = (slot + 1) % CAPACITY;
    if (this.#targets[slot] !== null) this.#delete(slot);
    this.#keys.add(slot, flow);
    this.#targets[slot] = target;
    this.#addedAt[slot] = now;
  }

  #delete(slot: number): void {
    this.#keys.delete(slot);
    this.#targets[slot] = null;
  }
}
