import type { Failover } from '../../failover.js';
import type { PinKey } from '../../pinkey.js';
import type { ServedPortal } from '../../servedportal.js';

/** Refusals of a client within this time belong together, ms: several endpoints refused its datagram. */
const WINDOW_MS = 1000;
/** Limit of clients. */
const CAPACITY = 1024;

/** Which endpoints have refused each client lately. A client that was refused by all is not moved again. */
export class RecentFailovers {
  /** By client, in the order of their last refusal. */
  readonly #known = new Map<string, { readonly failover: Failover; readonly refusedAt: number }>();

  /**
   * @param begin makes the failover of a client
   * @param now the loop's clock, ms
   */
  constructor(
    readonly begin: (portal: ServedPortal, key: PinKey | null) => Failover,
    readonly now: () => number,
  ) {}

  /** The failover of a client that is refused now. @param client any text that tells clients apart */
  of(client: string, portal: ServedPortal, key: PinKey | null): Failover {
    const now = this.now();
    const known = this.#known.get(client);
    const isRecent = known !== undefined && now - known.refusedAt < WINDOW_MS;
    const failover = isRecent ? known.failover : this.begin(portal, key);
    this.#known.delete(client);
    this.#forgetOldest();
    this.#known.set(client, { failover, refusedAt: now });
    return failover;
  }

  #forgetOldest(): void {
    if (this.#known.size < CAPACITY) return;
    const [oldest] = this.#known.keys();
    this.#known.delete(oldest as string);
  }
}
