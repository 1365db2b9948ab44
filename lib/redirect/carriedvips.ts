import { NONE } from '../model/compact.js';
import type { Redirect } from './driver.js';
import { keyOf } from './key.js';

/** Keys of the VIPs to which the kernel may carry UDP flows, and of those to which it may no longer. */
export class CarriedVips {
  /** By the redirect's id. Redirects without such a VIP are left out. */
  readonly #keys = new Map<string, readonly string[]>();
  /** How many redirects have the key. */
  readonly #counts = new Map<string, number>();
  #dropped = new Set<string>();

  get isEmpty(): boolean {
    return this.#keys.size === 0;
  }

  /** Gives a redirect these keys, in the place of those that it had. See {@link udpKeys}. */
  set(id: string, keys: readonly string[]): void {
    this.delete(id);
    if (keys.length === 0) return;
    for (const key of keys) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    this.#keys.set(id, keys);
  }

  delete(id: string): void {
    for (const key of this.#keys.get(id) ?? []) {
      const count = (this.#counts.get(key) ?? 0) - 1;
      if (count > 0) this.#counts.set(key, count);
      else this.#counts.delete(key);
      this.#dropped.add(key);
    }
    this.#keys.delete(id);
  }

  /** An earlier run may have carried flows to the VIP with this key. */
  mayHaveBeen(key: string): void {
    this.#dropped.add(key);
  }

  /** Keys to which the kernel may carry no flow now, among those to which it may have since the last call. */
  takeDropped(): ReadonlySet<string> {
    const dropped = new Set([...this.#dropped].filter((key) => !this.#counts.has(key)));
    this.#dropped = new Set();
    return dropped;
  }
}

/** @throws TypeError if a VIP is not an address */
export function udpKeys({ protocol, carriedVips }: Redirect): readonly string[] {
  return protocol === 'UDP' ? carriedVips.map(({ address, port }) => keyOf(address, protocol, port)) : NONE;
}
