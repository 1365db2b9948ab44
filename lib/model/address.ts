import { isIP, isIPv4, isIPv6, SocketAddress } from 'node:net';
import type { Family } from './portal.js';

/** Family of an address that {@link canonicalAddress} returned. */
export function familyOf(address: string): Family {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

/**
 * The one spelling by which an address is compared (RFC 5952 for IPv6), or null if the text is not an address
 * of a single host: zones (`fe80::1%eth0`), the unspecified address, broadcast and multicast have no meaning as a VIP or as an
 * endpoint. It reads what kube-proxy reads (ParseIPSloppy in k8s.io/utils/net): numbers with leading zeros are decimal, and an
 * IPv4-mapped address is the IPv4 address in it.
 */
export function canonicalAddress(text: string): string | null {
  const address = withoutLeadingZeros(text);
  if (isIPv4(address)) return isHostIPv4(address) ? address : null;
  if (!isIPv6(address) || address.includes('%')) return null;
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address;
  if (canonical.startsWith(MAPPED)) return canonicalAddress(canonical.slice(MAPPED.length));
  return canonical === '::' || /^ff..:/.test(canonical) ? null : canonical;
}

/**
 * `address/prefix`, or null if the text is no CIDR. Spaces around it and leading zeros do not count, as for kube-proxy; bits beyond
 * the prefix may be set and mean nothing.
 */
export function canonicalCidr(text: string): string | null {
  const [, written = '', prefix = ''] = /^\s*([^\s/%]+)\/(\d{1,3})\s*$/.exec(text) ?? [];
  const address = withoutLeadingZeros(written);
  const bits = isIP(address) === 4 ? 32 : 128;
  return isIP(address) !== 0 && Number(prefix) <= bits ? `${address}/${Number(prefix)}` : null;
}

/** How an IPv4 address in IPv6 form (RFC 4291, 2.5.5.2) begins in its canonical spelling. */
const MAPPED = '::ffff:';

function withoutLeadingZeros(address: string): string {
  return address.replace(/(^|[.:])0+(?=[0-9a-f])/gi, '$1');
}

function isHostIPv4(text: string): boolean {
  const first = Number.parseInt(text, 10);
  return first > 0 && (first < 224 || (first >= 240 && text !== '255.255.255.255'));
}
