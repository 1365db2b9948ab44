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
 * How a family's VIPs reach the portals:
 *
 * - `port`: the portal listens on one proxy port and the driver sends the VIPs' traffic there.
 * - `address`: the portal listens on each VIP itself (IP_FREEBIND) and the driver makes the VIPs local.
 */
export type Capture = 'port' | 'address';

/** A change that a driver has got ready for. */
export interface PreparedChange {
  /**
   * Tells the kernel, in one transaction for each family. The portals must hear their clients by now.
   * @throws RedirectError; the wanted state is then kept for `audit`
   */
  commit(): Promise<void>;
  /**
   * The portals do not listen after all: the kernel is told nothing now. The change stays part of the wanted
   * state, so the next change undoes it, or the next `commit` or `audit` puts it in place.
   */
  abandon(): void;
}

/**
 * Brings VIP traffic to the portals' listeners.
 *
 * Calls never overlap: the caller waits for one promise before the next call.
 */
export interface RedirectDriver {
  /** For people, for example `iptables`, or `iptables (IPv6: address)` where the families differ. */
  readonly name: string;
  /** Whether it brings traffic at all: else clients may use the proxy ports directly. */
  readonly bringsTraffic: boolean;
  /** The families whose VIPs cannot be redirected on this node, each with why and what to do. */
  readonly unsupported: ReadonlyMap<Family, string>;
  /** What this node's kernel cannot do for all redirects, each with the consequence and what to do. */
  readonly problems?: readonly string[];
  /** Which family is not served by the driver that is tried first, and why: a sentence each. */
  readonly fallbacks?: readonly string[];
  /**
   * Told of the places that portals listen on, where VIPs are addresses of the node:
   * it keeps clients from all others.
   */
  readonly gate?: PortGate | undefined;
  captureOf(family: Family): Capture;
  /**
   * Takes over one change, of supported families, and does all that may come before the portals listen.
   * From now on the change is part of the wanted state.
   * @throws RedirectError; there is nothing to commit then
   * @throws Error while an earlier change is neither committed, abandoned nor audited
   */
  prepare(change: RedirectChange): Promise<PreparedChange>;
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
