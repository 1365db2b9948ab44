import { readFileSync } from 'node:fs';
import { familyOf } from '../../net/address.js';

/**
 * What on this node can keep answers from addresses that are in a namespace of their own. Settings are read
 * and never changed.
 */
export function whyUnreachable(address: string): string {
  const isV4 = familyOf(address) === 'IPv4';
  const forwarding = isV4 ? 'net.ipv4.ip_forward' : 'net.ipv6.conf.all.forwarding';
  const reasons = [
    ...(setting(forwarding) === '0' ? [`${forwarding} is 0, so this node forwards nothing`] : []),
    ...(isV4 && setting('net.ipv4.conf.all.rp_filter') === '1'
      ? ['net.ipv4.conf.all.rp_filter is 1: answers of pods must come by the way that leads to them']
      : []),
    'a firewall may drop what comes from or goes to the client addresses (look at the chain FORWARD)',
    'pods of other nodes need a route to these clients, unless the Service proxy masquerades them',
  ];
  return `Nothing came back to the clients: ${reasons.join('; ')}`;
}

/** The value of a kernel setting; empty if there is none. */
function setting(name: string): string {
  try {
    return readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'latin1').trim();
  } catch {
    return '';
  }
}
