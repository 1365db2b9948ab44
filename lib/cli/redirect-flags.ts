import { Option } from 'commander';
import { WILDCARD } from '../net/address.js';
import type { PortRange } from '../redirect/rules.js';
import {
  type BindAddresses,
  parseBindAddress,
  parseDuration,
  parseNodePortAddresses,
  parsePortRange,
} from './parse.js';

const REDIRECT_MODES = ['auto', 'iptables', 'address', 'none'] as const;

type RedirectChoice = (typeof REDIRECT_MODES)[number];

/** How the traffic of VIPs and NodePorts gets to the portals. Times are milliseconds. */
export interface RedirectFlags {
  readonly redirect: RedirectChoice;
  readonly iptablesSyncPeriod: number;
  readonly bindAddress: BindAddresses;
  readonly proxyPortRange: PortRange;
  readonly nodeportAddresses: readonly string[];
}

export function redirectFlags(): Option[] {
  return [
    new Option(
      '--redirect <mode>',
      'how traffic for a VIP gets to kube-portal. iptables: rules send it to proxy ports. ' +
        'address: VIPs become addresses of the loopback device, without netfilter. none: nothing is redirected. ' +
        'auto: for each IP family iptables if it works, else address',
    )
      .choices(REDIRECT_MODES)
      .default('auto'),
    new Option(
      '--iptables-sync-period <duration>',
      'time between two checks of rules and addresses. What is missing is put back',
    )
      .argParser(parseDuration)
      .default(30_000, '30s'),
    new Option(
      '--bind-address <address>',
      'address that proxy ports listen on. Can be given once for each IP family',
    )
      .argParser(parseBindAddress)
      .default(WILDCARD, '0.0.0.0 and ::'),
    new Option(
      '--proxy-port-range <range>',
      'range of proxy ports, as first-last or first+offset. Each Service port needs one port',
    )
      .argParser(parsePortRange)
      .default({ first: 20_000, last: 29_999 }, '20000-29999'),
    new Option(
      '--nodeport-addresses <cidrs>',
      "addresses of this node that serve NodePorts: CIDRs, primary (the Node object's addresses), " +
        'localhost, or all. Can be given several times',
    )
      .argParser(parseNodePortAddresses)
      .default([], 'all'),
  ];
}
