import type { DataplaneEvent } from '../shared/messages.js';
import type { PinKey } from './pinkey.js';
import type { ServedPortal } from './servedportal.js';
import type { Target } from './target.js';

/**
 * At most this many endpoints are tried for one client. If half of all endpoints are dead, one client in
 * 65,536 meets this limit. 16 tries that the kernel refuses at once take less than a millisecond together.
 */
const MAX_TRIES = 16;
/**
 * No further try begins when this time has passed since the first endpoint failed. The last try may take two
 * seconds more. Clients that have a time limit seldom wait longer.
 */
const TIME_LIMIT_MS = 8000;

/**
 * Finds the next endpoint for a client whose endpoint failed. Each endpoint is tried once. The number of
 * tries and their total time are limited.
 */
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
    this.#end = now + TIME_LIMIT_MS;
    this.#report = report;
  }

  /**
   * Blames an endpoint that failed, and reports it.
   * @param reason for the log
   * @param isForAll whether the endpoint fails for all other clients too
   * @returns the endpoint to try next; null if none is left or a limit is reached
   */
  next(failed: Target, reason: string, now: number, isForAll = true): Target | null {
    const portal = this.#portal;
    portal.blame(failed, reason, this.#key, isForAll);
    this.#report({ kind: 'endpointFailed', portal: portal.key, endpoint: failed.name, reason });
    this.#tried.add(failed);
    if (this.#tried.size >= MAX_TRIES || now >= this.#end) return null;
    return portal.balancer.pickOther(this.#key, this.#tried);
  }
}
