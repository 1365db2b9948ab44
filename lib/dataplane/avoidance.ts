import type { Target } from './balancer.js';

/** How long new clients avoid an endpoint that failed, ms, while others live. */
export const AVOID_MS = 5000;

/**
 * The endpoints of one portal in two parts: those that failed lately, and the others. Every step takes the same time
 * however many there are, as thousands may fail at once.
 */
export class Avoidance {
  /** The longest ago first. */
  readonly #avoided = new Set<Target>();
  /** In any order. */
  readonly #others: Target[] = [];
  readonly #places = new Map<Target, number>();

  /** @param targets all of the portal, with the times of their failures */
  constructor(targets: readonly Target[], now: number) {
    for (const target of targets) this.#putBack(target);
    const failed = targets.filter(({ failedAt }) => failedAt + AVOID_MS > now);
    for (const target of failed.sort((one, other) => one.failedAt - other.failedAt)) this.add(target);
  }

  /** Those that new clients may be led to. */
  get others(): readonly Target[] {
    return this.#others;
  }

  get isOver(): boolean {
    return this.#avoided.size === 0;
  }

  /** @param target one of the portal's; its failure is the latest of all */
  add(target: Target): void {
    if (!this.#avoided.delete(target)) this.#takeOut(target);
    this.#avoided.add(target);
  }

  /** Puts back those whose failure is long enough ago. */
  readmit(now: number): void {
    for (const target of this.#avoided) {
      if (target.failedAt + AVOID_MS > now) return;
      this.#avoided.delete(target);
      this.#putBack(target);
    }
  }

  #putBack(target: Target): void {
    this.#places.set(target, this.#others.length);
    this.#others.push(target);
  }

  /** The last one takes its place. */
  #takeOut(target: Target): void {
    const place = this.#places.get(target);
    const last = this.#others.at(-1);
    if (place === undefined || last === undefined) return;
    this.#others[place] = last;
    this.#places.set(last, place);
    this.#others.pop();
    this.#places.delete(target);
  }
}
