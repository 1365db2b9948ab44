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
 * The attribute with the name of the chain (NFTA_CHAIN_NAME or NFTA_RULE_CHAIN), by the type of the message.
 * Null for a table.
 */
const CHAIN_NAME = new Map([
  [DELTABLE, null],
  [DELCHAIN, 3],
  [DELRULE, 2],
]);

/** A rule, a chain or a table that was removed from nf_tables. For a table, `chain` is null. */
export interface Removal {
  readonly table: string;
  readonly chain: string | null;
}

/**
 * Receives messages about everything that any program removes from nf_tables in this network namespace. The
 * older x_tables send no such messages.
 */
export class RulesetWatch {
  readonly #netlink: NetlinkSocket;

  private constructor(netlink: NetlinkSocket) {
    this.#netlink = netlink;
  }

  /** @throws SysError if the kernel has no nf_tables, or if the process lacks CAP_NET_ADMIN */
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
   * What was removed since the last call. Null if the kernel had more messages than it could keep.
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

/** Empty for messages about other changes. */
function removalsOf({ type, body }: Message): Removal[] {
  const name = CHAIN_NAME.get(type);
  if (name === undefined) return [];
  const attributes = netfilterAttributes(body);
  const chain = name === null ? null : (attributes.text(name) ?? '');
  return [{ table: attributes.text(TABLE) ?? '', chain }];
}
