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
  /** Port of the portal's wildcard listener. Drivers that capture by address ignore it. */
  readonly proxyPort: number;
  /**
   * VIPs whose traffic the kernel carries once a worker has chosen the endpoint. Beside `vips`, they may be
   * addresses of this node with the NodePort, which need no redirect. Empty: workers relay everything.
   */
  readonly carriedVips: readonly Vip[];
  /**
   * Where first packets of connections and flows to `carriedVips` wait for the worker. Null: they do not, as
   * the portal relays them.
   */
  readonly carried: { readonly queue: number } | null;
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

/** For each family why the kernel cannot carry its traffic, with what to do. Null: it can. */
export type CarrierSupport = Readonly<Record<Family, string | null>>;

export function noCarrier(reason: string): CarrierSupport {
  return { IPv4: reason, IPv6: reason };
}

/** A change that a driver has prepared. */
export interface PreparedChange {
  /**
   * Makes the change in the kernel, in one transaction for each family. The portals must listen before.
   * @throws RedirectError; the change stays in the wanted state, and `audit` tries again
   */
  commit(): Promise<void>;
  /**
   * Ends the change without changing the kernel, because the portals do not listen. The change stays in the
   * wanted state: a later change takes it back, or the next `commit` or `audit` makes it.
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
  /** False: the driver redirects nothing, and clients may use the proxy ports directly. */
  readonly bringsTraffic: boolean;
  /** The families whose VIPs cannot be redirected on this node, each with the reason and what to do. */
  readonly unsupported: ReadonlyMap<Family, string>;
  /**
   * For each family: whether packets that are not the node's own are dropped where no rule accepts them (the
   * policy of the chain FORWARD), as the rules were last read. Absent: the driver reads no rules.
   */
  readonly dropsForwarded?: Readonly<Record<Family, boolean>>;
  /** Sentences about what the kernel lacks for all redirects, each with the consequence and what to do. */
  readonly problems?: readonly string[];
  /** A sentence for each family that addresses serve because iptables does not work, with the reason. */
  readonly fallbacks?: readonly string[];
  /**
   * Present if VIPs are addresses of this node. The caller tells it where portals listen; it refuses clients
   * of VIPs at all other ports.
   */
  readonly gate?: PortGate | undefined;
  captureOf(family: Family): Capture;
  /**
   * Finds out whether the rules can be had that the kernel needs to carry traffic. Until then, and for
   * families that cannot have them, the driver makes none, whatever redirects want.
   */
  openCarrier(): Promise<CarrierSupport>;
  /**
   * Adds one change to the wanted state, and does the work that needs no listening portal. The redirects
   * must be of supported families.
   * @throws RedirectError; then there is nothing to commit
   * @throws Error if an earlier change is neither committed, abandoned nor audited
   */
  prepare(change: RedirectChange): Promise<PreparedChange>;
  /**
   * Compares the kernel with the wanted state and repairs the kernel. Resolves to the number of repairs.
   * 0: nothing was wrong.
   * @throws RedirectError
   */
  audit(): Promise<number>;
  /**
   * Whether another program has removed what redirects need since the last call of any method. False too
   * if the kernel does not announce it. Costs one system call.
   */
  wasDisturbed?(): boolean;
  /** Removes everything that this driver made, in this run or in an earlier run that was killed. */
  clear(): Promise<void>;
}

/** A redirect cannot be made or removed. The message says what failed, why, and what to do. */
export class RedirectError extends Error {
  override readonly name = 'RedirectError';
  readonly #failed: ReadonlySet<string> | null;

  /** @param failed ids of the redirects that are not in place. Left out: any redirect may be missing. */
  constructor(message: string, failed?: Iterable<string>) {
    super(message);
    this.#failed = failed === undefined ? null : new Set(failed);
  }

  /** Whether the redirect with this id may be missing because of this error. */
  concerns(id: string): boolean {
    return this.#failed === null || this.#failed.has(id);
  }
}

/** The kernel refuses some redirects, and will refuse them again. All others are in place. */
export class RedirectsRefused extends RedirectError {}
