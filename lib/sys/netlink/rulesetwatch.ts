import { ENOBUFS, SysError } from '../errno.js';
import type { Message } from './messages.js';
import { netfilterAttributes } from './nfnetlink.js';
import { NETLINK_NETFILTER, NetlinkSocket } from './socket.js';

/** linux/netfilter/nfnetlink.h and nf_tables.h; the upper byte of a type is NFNL_SUBSYS_NFTABLES. */
const NFNLGRP_NFTABLES = 7;
const DELTABLE = 0xa02;
const DELCHAIN = 0xa05;
const DELRULE = 0xa08;
/** NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and NFTA_RULE_TABLE. */
const TABLE = 1;
/**
 * What the chain's name is in, NFTA_CHAIN_NAME or NFTA_RULE_CHAIN, by the type of what was removed;
 * null for a table.
 */
const CHAIN_NAME = new Map([
  [DELTABLE, null],
  [DELCHAIN, 3],
  [DELRULE, 2],
]);

/** Something that was taken out of nf_tables: a rule or a chain, or with `chain` null a table. */
export interface Removal {
  readonly table: string;
  readonly chain: string | null;
}

/**
 * Hears what is removed from nf_tables in this network namespace, whoever does it.
 * The old x_tables announce nothing.
 */
export class RulesetWatch {
  readonly #netlink: NetlinkSocket;

  private constructor(netlink: NetlinkSocket) {
    this.#netlink = netlink;
  }

  /** @throws SysError where the kernel has no nf_tables or this process may not listen (CAP_NET_ADMIN) */
  static open(): RulesetWatch {
    const netlink = new NetlinkSocket(NETLINK_NETFILTER);
    try {
      netlink.join(NFNLGRP_NFTABLES);
      return new RulesetWatch(netlink);
    } catch (error) {
      netlink.close();
      throw error;
    }
  }

  /**
   * What was removed since the last call; null where that was more than the kernel could keep.
   * @throws SysError
   */
  removals(): Removal[] | null {
    const removals: Removal[] = [];
    let isComplete = true;
    for (;;) {
      try {
        const messages = this.#netlink.receiveAtOnce();
        if (messages === null) return isComplete ? removals : null;
        for (const message of messages) removals.push(...removalsOf(message));
      } catch (error) {
        if (!(error instanceof SysError) || error.code !== ENOBUFS) throw error;
        isComplete = false;
      }
    }
  }
}

/** None for what tells of anything else. */
function removalsOf({ type, body }: Message): Removal[] {
  const name = CHAIN_NAME.get(type);
  if (name === undefined) return [];
  const attributes = netfilterAttributes(body);
  const chain = name === null ? null : (attributes.text(name) ?? '');
  return [{ table: attributes.text(TABLE) ?? '', chain }];
}
