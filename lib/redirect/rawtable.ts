import { NONE } from '../model/compact.js';
import type { Redirect } from './driver.js';
import { keyOf } from './key.js';
import type { RedirectTree } from './redirecttree.js';
import { type Features, SYN_CHAIN, vipRule } from './rules.js';
import type { Table } from './ruleset.js';
import type { Entry } from './ruletree.js';

const IS_SYN = '-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN';

/**
 * The rules that send first packets for a redirect's carried VIPs to its queue. Without `--queue-bypass`:
 * while no process reads the queue they are dropped, and the client's retransmission meets the next process.
 * @throws TypeError if a VIP is not an address
 */
export function rawEntries(redirect: Redirect, features: Features): readonly Entry[] {
  const { id, protocol, carriedVips, carried } = redirect;
  if (carried === null || protocol !== 'TCP') return NONE;
  const target = `-j NFQUEUE --queue-num ${carried.queue}`;
  return carriedVips.map((vip) => ({
    key: keyOf(vip.address, protocol, vip.port),
    id,
    rule: vipRule(redirect, vip, features, target),
  }));
}

/** A packet from the loopback device has been through OUTPUT: a worker has decided about it. */
export function rawTable(carried: RedirectTree): Table {
  return {
    chains: carried.chains().with(new Map([[SYN_CHAIN, carried.entrance()]])),
    hooks: new Map([
      ['PREROUTING', [`! -i lo ${IS_SYN} -j ${SYN_CHAIN}`]],
      ['OUTPUT', [`${IS_SYN} -j ${SYN_CHAIN}`]],
    ]),
  };
}
