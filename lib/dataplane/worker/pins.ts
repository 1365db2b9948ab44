import { LRUCache } from 'lru-cache';
import type { PinKey } from './pinkey.js';

/**
 * Pins of one worker. The kernel steers a client to the same worker on every port (lib/sys/steering.ts), so
 * workers share nothing. The cap is over all Services; beyond it, the pin that was not used for longest goes.
 */
export class PinTable {
  readonly #capacity: number;
  readonly #now: () => number;
  /** Null until the first pin. It has all its places from the start, and most nodes have no affinity. */
  #pins: LRUCache<string, string> | null = null;

  /** @param now clock in milliseconds; the loop's, so that a look-up costs no system call */
  constructor(capacity: number, now: () => number) {
    this.#capacity = capacity;
    this.#now = now;
  }

  get size(): number {
    return this.#pins?.size ?? 0;
  }

  /** The pinned endpoint id; using a pin starts its time again. */
  get(scope: string, key: PinKey): string | undefined {
    return this.#pins?.get(`${key} ${scope}`);
  }

  /** @param timeout milliseconds without use after which the pin is gone */
  set(scope: string, key: PinKey, endpointId: string, timeout: number): void {
    this.#pins ??= this.#open();
    this.#pins.set(`${key} ${scope}`, endpointId, { ttl: timeout });
  }

  delete(scope: string, key: PinKey): void {
    this.#pins?.delete(`${key} ${scope}`);
  }

  #open(): LRUCache<string, string> {
    // A resolution of 0 would ask the clock's own cache for a timer, which never fires in a worker.
    return new LRUCache<string, string>({
      max: this.#capacity,
      ttl: 1,
      ttlResolution: 0,
      updateAgeOnGet: true,
      perf: { now: this.#now },
    });
  }
}
