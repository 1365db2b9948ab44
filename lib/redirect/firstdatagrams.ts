import { NONE } from '../model/compact.js';
import {
  type CarrierNumbers,
  firstPacketQueueOf,
  MAX_QUEUE_WORKERS,
  passingMark,
} from '../portal/carrier.js';
import type { Redirect } from './driver.js';
import { keyOf } from './key.js';
import type { RedirectTree } from './redirecttree.js';
import { DATAGRAM_CHAIN, type Features, hex, vipRule } from './rules.js';
import type { Table } from './ruleset.js';
import type { Entry } from './ruletree.js';
import type { TreeTable } from './treetable.js';

/** For first datagrams on their way to an endpoint. */
const PASSING_CHAIN = 'KUBE-PORTALS-PASSING';

/**
 * A flow without an answer stays NEW, and each of its datagrams would wait. But once a worker has decided,
 * its entry is translated, be it to an endpoint or to the listener.
 */
const IS_FIRST = '-p udp -m conntrack --ctstate NEW -m conntrack ! --ctstate DNAT';

/** The chain whose packets wait in a queue. */
function queueChain(queue: number): string {
  return `KUBE-PORTALS-UDP-${queue}`;
}

/**
 * The rules that send first datagrams for a redirect's carried VIPs to its queue.
 * @throws TypeError if a VIP is not an address
 */
export function datagramEntries(redirect: Redirect, features: Features): readonly Entry[] {
  const { id, protocol, carriedVips, carried } = redirect;
  if (carried === null || protocol !== 'UDP') return NONE;
  const target = `-j ${queueChain(carried.queue)}`;
  return carriedVips.map((vip) => ({
    key: keyOf(vip.address, protocol, vip.port),
    id,
    rule: vipRule(redirect, vip, features, target),
  }));
}

/**
 * The part of the mangle table that queues first datagrams. Without `--queue-bypass`: while no process reads
 * the queue they are dropped, as a policy of another program may forbid what a relay would let through.
 */
export function datagramTable(carried: RedirectTree, numbers: CarrierNumbers): TreeTable {
  const chains = new Map([[DATAGRAM_CHAIN, carried.entrance()]]);
  for (let worker = 0; worker < MAX_QUEUE_WORKERS; worker++) {
    const queue = firstPacketQueueOf('UDP', worker, numbers);
    chains.set(queueChain(queue), [
      `-j CONNMARK --set-xmark ${passing(numbers)}`,
      `-j NFQUEUE --queue-num ${queue}`,
    ]);
  }
  return {
    chains: carried.chains().with(chains),
    // A datagram from the loopback device has been through OUTPUT.
    hooks: new Map([
      ['PREROUTING', [`! -i lo ${IS_FIRST} -j ${DATAGRAM_CHAIN}`]],
      ['OUTPUT', [`${IS_FIRST} -j ${DATAGRAM_CHAIN}`]],
    ]),
  };
}

/**
 * The part of the nat table that keeps the source of a first datagram. The entry by which the endpoint
 * answers is a worker's. A rule of another program (MASQUERADE) would give another source to this datagram
 * alone, and its answer would be lost.
 */
export function passingTable(numbers: CarrierNumbers): Table {
  return {
    chains: new Map([[PASSING_CHAIN, ['-j ACCEPT']]]),
    hooks: new Map([['POSTROUTING', [`-m connmark --mark ${passing(numbers)} -j ${PASSING_CHAIN}`]]]),
  };
}

function passing({ markMask }: CarrierNumbers): string {
  return `${hex(passingMark(markMask))}/${hex(markMask)}`;
}
