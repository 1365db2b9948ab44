import type { Protocol } from '../../net/protocol.js';
import type { CarrierQueues } from '../../portal/carrier.js';
import type { PortalVip } from '../../portal/portal.js';

/** What a worker needs to hand clients of a portal over to the kernel. */
export interface Carriage {
  /** All addresses and ports of the portal's clients: its VIPs, and its NodePort on the node's addresses. */
  readonly vips: readonly PortalVip[];
  /** Whether first packets to these VIPs come to the queues of this worker. */
  readonly isHome: boolean;
}

/** Marks and queues of one worker. */
export interface CarrierSetup {
  /** Null: this worker is the home of no portal. */
  readonly queues: CarrierQueues | null;
  /** The mark of the entries that this worker makes. Workers beyond the fourth share marks with the first. */
  readonly ownMark: number;
  /** The bits of a mark that say whose entry it is, see `ownBit`. */
  readonly ownMask: number;
  /**
   * The marks of the entries that this worker counts, and that it ends with their endpoints: its own, and in
   * the first worker also those of an earlier run that had more workers. Empty beyond the fourth worker.
   */
  readonly heldMarks: readonly number[];
  /** Whether other workers make entries with the own mark too. */
  readonly isMarkShared: boolean;
  /** Clients with other addresses are masqueraded where `off-cluster` says so. Empty: none are. */
  readonly clusterCidrs: readonly string[];
}

/** For each protocol, why the kernel cannot carry it; null if it can. */
export type CarrierReasons = Readonly<Record<Protocol, string | null>>;

/**
 * Whether the node forwards packets of a family.
 *
 * - `forwards`: nothing is known that forbids it.
 * - `doubtful`: the FORWARD chain drops what no rule allows. Whether a target is reached must be tried out.
 * - `off`: only the node's own addresses are reached.
 */
export type ForwardingState = 'forwards' | 'doubtful' | 'off';

/** How this node treats packets that are not its own. Until a worker is told, forwarding is `off`. */
export interface Forwarding {
  readonly IPv4: ForwardingState;
  readonly IPv6: ForwardingState;
  /** Whether packets between two ports of one bridge pass netfilter, by family. */
  readonly bridges: { readonly IPv4: boolean; readonly IPv6: boolean };
}
