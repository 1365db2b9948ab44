import { findAttribute, NetlinkSocket, valueAt } from './socket.js';

/** linux/netfilter/nfnetlink.h and nf_tables.h; the upper byte of a type is NFNL_SUBSYS_NFTABLES. */
const NETLINK_NETFILTER = 12;
const NFNLGRP_NFTABLES = 7;
const DELTABLE = 0xa02;
const DELCHAIN = 0xa05;
const DELRULE = 0xa08;
/** NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and NFTA_RULE_TABLE. */
const TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_RULE_CHAIN = 2;

/** struct nfgenmsg: family u8, version u8, resource u16. */
const NFGENMSG_SIZE = 4;

/** Something that was taken out of nf_tables: a rule or a chain, or with `chain` null a table. */
export interface Removal {
  readonly table: string;
  readonly chain: string | null;
}

/** Hears what is removed from nf_tables in this network namespace, whoever does it. The old x_tables announce nothing. */
export class RulesetWatch {
  private constructor(private readonly netlink: NetlinkSocket) {}

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

  /** What was removed since the last call; null where that was more than the kernel could keep. @throws SysError */
  removals(): Removal[] | null {
    const removals: Removal[] = [];
    const complete = this.netlink.announcements((type, body) => {
      const table = () => text(body, TABLE);
      if (type === DELTABLE) removals.push({ table: table(), chain: null });
      if (type === DELCHAIN) removals.push({ table: table(), chain: text(body, NFTA_CHAIN_NAME) });
      if (type === DELRULE) removals.push({ table: table(), chain: text(body, NFTA_RULE_CHAIN) });
    });
    return complete ? removals : null;
  }
}

/** The value of an attribute that holds a name; empty where it is missing. */
function text(body: DataView, type: number): string {
  const start = findAttribute(body, NFGENMSG_SIZE, body.byteLength, type);
  return start === 0 ? '' : Buffer.from(valueAt(body, start)).toString('latin1').replace(/\0.*/s, '');
}
