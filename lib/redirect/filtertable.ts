import { NONE } from '../model/compact.js';
import type { Family } from '../net/address.js';
import type { Redirect } from './driver.js';
import { portKeyOf } from './key.js';
import type { RedirectTree } from './redirecttree.js';
import { type Features, type PortRange, portMatch } from './rules.js';
import type { Table } from './ruleset.js';
import type { Entry } from './ruletree.js';

/** The guard of the proxy ports. */
const GUARD_CHAIN = 'KUBE-PORTALS-GUARD';

/**
 * The first rules of the guard. Redirected packets are accepted before the rules of a host firewall (ufw,
 * firewalld): the firewall would see only a proxy port, which nobody has opened. Answers to this node's own
 * programs continue to the firewall's rules.
 */
export const GUARD_TOP = [
  '-m conntrack --ctstate DNAT -j ACCEPT',
  '-m conntrack --ctstate ESTABLISHED -j RETURN',
] as const;

/** Refuses datagrams that clients sent to the proxy port and not to a VIP. */
export function guardRule(family: Family, port: number, verdict: 'REJECT' | 'DROP'): string {
  const match = portMatch('UDP', { first: port, last: port });
  if (verdict === 'DROP') return `${match} -j DROP`;
  return `${match} -j REJECT --reject-with ${family === 'IPv4' ? 'icmp' : 'icmp6'}-port-unreachable`;
}

/** The rules that guard the proxy port of a redirect. */
export function filterEntries(redirect: Redirect, { guard }: Features): readonly Entry[] {
  const { id, protocol, family, proxyPort } = redirect;
  if (protocol !== 'UDP' || guard === null) return NONE;
  return [{ key: portKeyOf(proxyPort), id, rule: guardRule(family, proxyPort, guard) }];
}

/**
 * The guard stays even if there is no port to guard. Connections are tracked only as long as a rule needs it
 * (nf_ct_netns_get). Without tracking, open connections would lose their translation when the last VIP goes,
 * and would not learn that they have ended.
 */
export function filterTable(guarded: RedirectTree, range: PortRange): Table {
  const guard = [...GUARD_TOP, ...guarded.entrance()];
  return {
    chains: guarded.chains().with(new Map([[GUARD_CHAIN, guard]])),
    hooks: new Map([
      [
        'INPUT',
        (['UDP', 'TCP'] as const).map((protocol) => `${portMatch(protocol, range)} -j ${GUARD_CHAIN}`),
      ],
    ]),
  };
}
