import type { DataplaneEvent } from '../shared/messages.js';
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
  readonly #report: (event: DataplaneEvent) => void;

  /**
   * @param now when the first endpoint failed, ms of the loop's clock
   * @param report takes events for the log
   */
  constructor(
    portal: ServedPortal,
    key: PinKey | null,
    now: number,
    report: (event: DataplaneEvent) => void,
  ) {
    this.#portal = portal;
    this.#key = key;
    this.#end = now + PATIENCE;
    this.#report = report;
  }

  /**
   * Blames an endpoint that failed, and says so.
   * @param reason for the log
   * @param isForAll whether it would fail all other clients too
   * @returns the endpoint to try in its place, or null: it was the last
   */
  next(failed: Target, reason: string, now: number, isForAll = true): Target | null {
    const portal = this.#portal;
    portal.blame(failed, this.#key, isForAll);
    this.#report({ kind: 'endpointFailed', portal: portal.key, endpoint: failed.name, reason });
    this.#tried.add(failed);
    if (this.#tried.size >= MAX_TRIES || now >= this.#end) return null;
    return portal.balancer.pickOther(this.#key, this.#tried);
  }
}
