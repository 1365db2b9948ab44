import { isIP, isIPv4, isIPv6, SocketAddress } from 'node:net';
import type { Family } from './portal.js';

/** Family of an address that {@link canonicalAddress} returned. */
export function familyOf(address: string): Family {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

/**
 * The one spelling by which an address is compared (RFC 5952 for IPv6), or null if the text is not an address
 * of a single host: zones (`fe80::1%eth0`), IPv4-mapped IPv6, the unspecified address, broadcast and multicast
 * have no meaning as a VIP or as an endpoint.
 */
export function canonicalAddress(text: string): string | null {
  if (isIPv4(text)) return isHostIPv4(text) ? text : null;
  if (!isIPv6(text) || text.includes('%')) return null;
  const { address } = new SocketAddress({ address: text, family: 'ipv6' });
  return address === '::' || /^(ff..:|::ffff:)/.test(address) ? null : address;
}

/**
 * `address/prefix`, or null if the text is no CIDR. Spaces around it do not count, as for kube-proxy; bits beyond the
 * prefix may be set and mean nothing.
 */
export function canonicalCidr(text: string): string | null {
  const [, address = '', prefix = ''] = /^\s*([^\s/%]+)\/(\d{1,3})\s*$/.exec(text) ?? [];
  const bits = isIP(address) === 4 ? 32 : 128;
  return isIP(address) !== 0 && Number(prefix) <= bits ? `${address}/${Number(prefix)}` : null;
}

function isHostIPv4(text: string): boolean {
  const first = Number.parseInt(text, 10);
  return first > 0 && (first < 224 || (first >= 240 && text !== '255.255.255.255'));
}
