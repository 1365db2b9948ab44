import type { Family } from '../net/address.js';
import { type CarrierNumbers, MAX_QUEUE_WORKERS, markOfWorker, queuesOf } from '../portal/carrier.js';
import { hex } from './rules.js';
import type { Table } from './ruleset.js';

/** For packets that say that the endpoint of a carried flow cannot be reached. */
const ERROR_CHAIN = 'KUBE-PORTALS-ERROR';

/**
 * How a closed port answers the first packet of a connection. A firewall of this node that refuses (REJECT)
 * answers in the endpoint's name too, but the kernel then takes the answer for RELATED.
 */
const IS_REFUSAL =
  '-p tcp -m tcp --tcp-flags RST,ACK RST,ACK -m conntrack --ctstate ESTABLISHED ! --ctstatus ASSURED --ctdir REPLY';

/** Destination unreachable: type 3 of ICMP (RFC 792) and type 1 of ICMPv6 (RFC 4443). */
const UNREACHABLE = {
  IPv4: '-p icmp -m icmp --icmp-type 3',
  IPv6: '-p ipv6-icmp -m icmp6 --icmpv6-type 1',
} as const;
const IS_ERROR_OF_FLOW = '-m conntrack --ctstate RELATED';

/** Path MTU discovery of IPv4 is of the same type (RFC 1191): it concerns the client alone. */
const PASSED = { IPv4: ['-p icmp -m icmp --icmp-type 3/4 -j RETURN'], IPv6: [] } as const;

/**
 * The part of the mangle table that sends resets and ICMP errors of carried flows to the worker that inserted
 * the flow, before the client sees them. With `--queue-bypass`: while no process reads the queue, clients see
 * them.
 *
 * The queues also get what this node's own firewall says (ICMP errors that OUTPUT sees, for an endpoint
 * elsewhere). That is no fault of the endpoint.
 */
export function errorTable(family: Family, numbers: CarrierNumbers): Table {
  return {
    chains: new Map([[ERROR_CHAIN, [...PASSED[family], ...queueRules(numbers)]]]),
    // A packet from the loopback device has been through OUTPUT.
    hooks: new Map([
      ['PREROUTING', jumps(family).map((jump) => `! -i lo ${jump}`)],
      ['OUTPUT', jumps(family)],
    ]),
  };
}

function jumps(family: Family): string[] {
  return [IS_REFUSAL, `${UNREACHABLE[family]} ${IS_ERROR_OF_FLOW}`].map(
    (match) => `${match} -j ${ERROR_CHAIN}`,
  );
}

function queueRules(numbers: CarrierNumbers): string[] {
  return Array.from({ length: MAX_QUEUE_WORKERS }, (_, worker) => {
    const mark = markOfWorker(numbers.markMask, worker);
    const match = `-m connmark --mark ${hex(mark)}/${hex(numbers.markMask)}`;
    return `${match} -j NFQUEUE --queue-num ${queuesOf(worker, numbers).errors} --queue-bypass`;
  });
}
