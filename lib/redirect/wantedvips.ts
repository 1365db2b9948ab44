import { addressBytes, addressText } from '../net/address.js';
import type { Redirect } from './driver.js';

/** The VIPs that redirects want on the loopback device, in the kernel's spelling. */
export class WantedVips {
  readonly #redirects = new Map<string, Redirect>();
  /** Address to the number of VIPs of redirects that have it. */
  readonly #counts = new Map<string, number>();

  /** Each address once. */
  get addresses(): string[] {
    return [...this.#counts.keys()];
  }

  has(address: string): boolean {
    return this.#counts.has(address);
  }

  /** Adds a redirect, or replaces the redirect with its id. */
  set(redirect: Redirect): void {
    this.delete(redirect.id);
    this.#redirects.set(redirect.id, redirect);
    this.#count(redirect, 1);
  }

  delete(id: string): void {
    const redirect = this.#redirects.get(id);
    if (redirect === undefined) return;
    this.#redirects.delete(id);
    this.#count(redirect, -1);
  }

  clear(): void {
    this.#redirects.clear();
    this.#counts.clear();
  }

  /** The redirects that have a VIP with one of these addresses. */
  redirectsTo(addresses: ReadonlySet<string>): Redirect[] {
    return [...this.#redirects.values()].filter(({ vips }) =>
      vips.some(({ address }) => addresses.has(kernelSpelling(address))),
    );
  }

  #count({ vips }: Redirect, step: 1 | -1): void {
    for (const vip of vips) {
      const address = kernelSpelling(vip.address);
      const count = (this.#counts.get(address) ?? 0) + step;
      if (count === 0) this.#counts.delete(address);
      else this.#counts.set(address, count);
    }
  }
}

function kernelSpelling(address: string): string {
  return addressText(addressBytes(address));
}
