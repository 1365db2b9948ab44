import type { Family } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import type { Vip } from '../portal/portal.js';
import type { PortGate } from './portgate.js';

/** Traffic that must reach a proxy port on this node. */
export interface Redirect {
  /** The portal's key. */
  readonly id: string;
  /** Human name for comments and messages, for example `default/web:http`. */
  readonly label: string;
  readonly protocol: Protocol;
  readonly family: Family;
  readonly vips: readonly Vip[];
  /** Port of the portal's wildcard listener; drivers that capture by address ignore it. */
  readonly proxyPort: number;
}

/** One change: `set` adds or replaces by id, `remove` takes away by id. */
export interface RedirectChange {
  readonly set: readonly Redirect[];
  readonly remove: readonly string[];
}

/**
 * Brings VIP traffic to the portals' listeners.
 *
 * - capture `port`: the portal listens on one proxy port and the driver sends the VIPs' traffic there.
 * - capture `address`: the portal listens on each VIP itself (IP_FREEBIND)
 *   and the driver makes the VIPs local.
 *
 * Calls never overlap: the caller waits for one promise before the next call.
 */
export interface RedirectDriver {
  readonly name: 'iptables' | 'address' | 'none';
  readonly capture: 'port' | 'address';
  /** The families whose VIPs cannot be redirected on this node, each with why and what to do. */
  readonly unsupported: ReadonlyMap<Family, string>;
  /** What this node's kernel cannot do for all redirects, each with the consequence and what to do. */
  readonly problems?: readonly string[];
  /**
   * Told of the places that portals listen on, where VIPs are addresses of the node:
   * it keeps clients from all others.
   */
  readonly gate?: PortGate;
  /**
   * Applies one change, of supported families, in one transaction for each. Rejects with
   * {@link RedirectError}; the wanted state is then kept for `audit`.
   *
   * @param listening resolves once the portals hear their clients: the kernel is told then, and all that
   *   comes before is done meanwhile
   */
  apply(change: RedirectChange, listening?: Promise<void>): Promise<void>;
  /**
   * Compares the kernel with the wanted state and repairs it. Resolves to the number of things put back (0:
   * all was well). Rejects with {@link RedirectError}.
   */
  audit(): Promise<number>;
  /**
   * Whether somebody else has taken away what redirects need, since the last call of any method, as far as
   * the kernel announces it. Costs one system call.
   */
  wasDisturbed?(): boolean;
  /** Removes everything that this program ever made, in this run or an earlier one that was killed. */
  clear(): Promise<void>;
}

/** A failure of the redirect; the message says what failed, why, and what to do. */
export class RedirectError extends Error {
  override readonly name = 'RedirectError';
  readonly #failed: ReadonlySet<string> | null;

  /** @param failed ids of the redirects that are not in place; without it, any of them may be missing */
  constructor(message: string, failed?: Iterable<string>) {
    super(message);
    this.#failed = failed === undefined ? null : new Set(failed);
  }

  /** Whether a redirect may be missing because of this. */
  concerns(id: string): boolean {
    return this.#failed === null || this.#failed.has(id);
  }
}

/** The kernel refuses some redirects for what they are; all others are in place. */
export class RedirectsRefused extends RedirectError {}
