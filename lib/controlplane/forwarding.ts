import { readFileSync } from 'node:fs';
import type { Forwarding, ForwardingState } from '../dataplane/shared/carrier.js';
import type { Family } from '../net/address.js';

/** Settings of this network namespace: ip-sysctl and br_netfilter of the kernel's documentation. */
const SETTINGS = {
  IPv4: { forwarding: 'net/ipv4/ip_forward', bridges: 'net/bridge/bridge-nf-call-iptables' },
  IPv6: { forwarding: 'net/ipv6/conf/all/forwarding', bridges: 'net/bridge/bridge-nf-call-ip6tables' },
} as const;

/**
 * How this node treats packets that are not its own, at this moment.
 * @param drops whether the policy of a family's chain FORWARD is DROP
 */
export function readForwarding(drops: (family: Family) => boolean): Forwarding {
  const stateOf = (family: Family): ForwardingState => {
    if (!isOn(SETTINGS[family].forwarding)) return 'off';
    return drops(family) ? 'doubtful' : 'forwards';
  };
  return {
    IPv4: stateOf('IPv4'),
    IPv6: stateOf('IPv6'),
    bridges: { IPv4: isOn(SETTINGS.IPv4.bridges), IPv6: isOn(SETTINGS.IPv6.bridges) },
  };
}

/** What a state means for the clients of a family, and what to do. Null: all is well. */
export function forwardingObstacle(family: Family, state: ForwardingState): string | null {
  const name = SETTINGS[family].forwarding.replaceAll('/', '.');
  switch (state) {
    case 'forwards':
      return null;
    case 'off':
      return (
        `this node does not forward packets of ${family} (${name} = 0), so the kernel carries only what goes to the ` +
        `node's own addresses, and the rest is relayed; run: sysctl -w ${name}=1`
      );
    case 'doubtful':
      return (
        `the chain FORWARD of ${family} drops what no rule accepts (its policy is DROP), so what the kernel carries ` +
        'may be dropped, and is relayed then; accept the packets of pods there, or run: ' +
        `${family === 'IPv4' ? 'iptables' : 'ip6tables'} -P FORWARD ACCEPT`
      );
  }
}

/** False too if the kernel has no such setting: without br_netfilter, bridged packets pass no rules. */
function isOn(setting: string): boolean {
  try {
    return readFileSync(`/proc/sys/${setting}`, 'utf8').trim() !== '0';
  } catch {
    return false;
  }
}
