import { ECONNREFUSED } from '../../../../sys/errno.js';
import type { RefusedPacket } from '../../kernel/errorqueue.js';
import type { Paths } from '../../kernel/paths.js';
import type { Target } from '../../target.js';

/**
 * Whether an ICMP error about a flow that the kernel carries may be believed. Conntrack believes everybody
 * who names the addresses and ports of a flow (nf_conntrack_inet_error), and what the flow has sent, which a
 * forger cannot quote, is not known here. So the error must have come by the device that leads to the
 * endpoint, or from this node. And whoever says that a port is closed must be the endpoint itself: a firewall
 * speaks for one client only.
 */
export function isCredible(packet: RefusedPacket, target: Target, paths: Pick<Paths, 'to'>): boolean {
  const route = paths.to(target);
  const isFromItsWay =
    packet.inputDevice === 0 || (typeof route !== 'number' && packet.inputDevice === route.device);
  return isFromItsWay && (packet.code !== ECONNREFUSED || isFromEndpoint(packet));
}

function isFromEndpoint({ headers, bytes, reporterAt }: RefusedPacket): boolean {
  for (let byte = 0; byte < headers.addressLength; byte++) {
    if (bytes[reporterAt + byte] !== bytes[headers.destinationAt + byte]) return false;
  }
  return true;
}
