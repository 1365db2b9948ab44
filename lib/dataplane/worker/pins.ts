import { LRUCache } from 'lru-cache';
import type { PinKey } from './pinkey.js';

/**
 * Pins of one worker. The kernel steers a client to the same worker on every port (lib/sys/steering.ts), so
 * workers share nothing. The capacity is for all Services together. Beyond it, the least recently used pin is
 * dropped.
 */
export class PinTable {
  readonly #capacity: number;
  readonly #now: () => number;
  /** Null until the first pin: the cache allocates its full capacity, and most nodes have no affinity. */
  #pins: LRUCache<string, string> | null = null;

  /** @param now clock in milliseconds; the loop's, so that a look-up costs no system call */
  constructor(capacity: number, now: () => number) {
    this.#capacity = capacity;
    this.#now = now;
  }

  get size(): number {
    return this.#pins?.size ?? 0;
  }

  /** The id of the pinned endpoint. Each use of a pin starts its time again. */
  get(scope: string, key: PinKey): string | undefined {
    return this.#pins?.get(`${key} ${scope}`);
  }

  /** @param timeout the pin ends after this time without use, ms */
  set(scope: string, key: PinKey, endpointId: string, timeout: number): void {
    this.#pins ??= this.#open();
    this.#pins.set(`${key} ${scope}`, endpointId, { ttl: timeout });
  }

  delete(scope: string, key: PinKey): void {
    this.#pins?.delete(`${key} ${scope}`);
  }

  #open(): LRUCache<string, string> {
    // Above 0, lru-cache keeps a time until a JavaScript timer fires, and none ever fires in a worker.
    return new LRUCache<string, string>({
      max: this.#capacity,
      ttl: 1,
      ttlResolution: 0,
      updateAgeOnGet: true,
      perf: { now: this.#now },
    });
  }
}
