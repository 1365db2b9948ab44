import type { PinKey } from './pinkey.js';
import type { ServedPortal } from './servedportal.js';
import type { Target } from './target.js';

/**
 * Most endpoints that one client is led to. Where half of all are dead and nobody knows which, one client in 65,536 meets
 * this limit; tries that the kernel refuses at once take less than a millisecond together.
 */
const MAX_TRIES = 16;
/**
 * No further try begins so long, ms, after the first one failed; the last may take two seconds more. Clients that have a
 * limit seldom wait for longer.
 */
const PATIENCE = 8000;

/** The way of one client from an endpoint that failed to the next: each is tried once, and there is an end to it. */
export class Failover {
  readonly #portal: ServedPortal;
  readonly #key: PinKey | null;
  readonly #tried = new Set<Target>();
  readonly #end: number;

  /** @param now when the first endpoint failed, ms of the loop's clock */
  constructor(portal: ServedPortal, key: PinKey | null, now: number) {
    this.#portal = portal;
    this.#key = key;
    this.#end = now + PATIENCE;
  }

  /** @returns who is to be tried in the place of an endpoint that failed, or null: it was the last */
  next(failed: Target, now: number): Target | null {
    this.#tried.add(failed);
    if (this.#tried.size >= MAX_TRIES || now >= this.#end) return null;
    return this.#portal.balancer.pickOther(this.#key, this.#tried);
  }
}
