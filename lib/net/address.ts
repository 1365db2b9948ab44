import { isIPv4, isIPv6 } from 'node:net';

export type Family = 'IPv4' | 'IPv6';
export const FAMILIES: readonly Family[] = ['IPv4', 'IPv6'];

/** The address that stands for all addresses of its family, for sockets that listen. */
export const WILDCARD = { IPv4: '0.0.0.0', IPv6: '::' } as const;

/** Family of an IP address or a CIDR that is known to be valid. */
export function familyOf(address: string): Family {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

/**
 * The one spelling by which an address is compared (RFC 5952 for IPv6), or null if the text is not the
 * address of a single host. Zones (`fe80::1%eth0`), the unspecified address, broadcast and multicast have no
 * meaning as a VIP or as an endpoint. It reads what kube-proxy reads (ParseIPSloppy in k8s.io/utils/net):
 * numbers with leading zeros are decimal, and an IPv4-mapped address is the IPv4 address in it.
 */
export function canonicalAddress(text: string): string | null {
  const address = withoutLeadingZeros(text);
  if (isIPv4(address)) return isHostIPv4(address) ? address : null;
  if (!isIPv6(address) || address.includes('%')) return null;
  const bytes = addressBytes(address);
  if (isMapped(bytes)) return canonicalAddress(addressText(bytes.slice(12)));
  return bytes[0] === 255 || bytes.every((byte) => byte === 0) ? null : addressText(bytes);
}

/** Numbers with leading zeros become the same numbers without them. */
export function withoutLeadingZeros(address: string): string {
  return address.replace(/(^|[.:])0+(?=[0-9a-f])/gi, '$1');
}

function isHostIPv4(text: string): boolean {
  const first = Number.parseInt(text, 10);
  return first > 0 && (first < 224 || (first >= 240 && text !== '255.255.255.255'));
}

/** Whether 16 bytes are an IPv4 address in IPv6 form (RFC 4291, 2.5.5.2). */
function isMapped(bytes: readonly number[]): boolean {
  return bytes.slice(0, 12).every((byte, i) => byte === (i < 10 ? 0 : 255));
}

/** The bytes of an IPv4 (4) or IPv6 (16) address in network order. @throws TypeError for anything else */
export function addressBytes(address: string): number[] {
  if (isIPv4(address)) return address.split('.').map(Number);
  const [plain = ''] = address.split('%');
  if (!isIPv6(plain)) throw new TypeError(`not an IP address: ${address}`);
  const [head = '', tail] = plain.split('::');
  const front = groupBytes(head);
  const back = tail === undefined ? [] : groupBytes(tail);
  return [...front, ...new Array<number>(16 - front.length - back.length).fill(0), ...back];
}

function groupBytes(groups: string): number[] {
  if (groups === '') return [];
  return groups.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 255];
  });
}

/** The text form of 4 or 16 address bytes; IPv6 as RFC 5952 wants it. */
export function addressText(bytes: ArrayLike<number>): string {
  const all = Array.from(bytes);
  if (all.length === 4) return all.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => hexGroup(all.slice(2 * i, 2 * i + 2)));
  const zeros = longestZeroRun(groups);
  if (zeros.length < 2) return groups.join(':');
  return `${groups.slice(0, zeros.start).join(':')}::${groups.slice(zeros.start + zeros.length).join(':')}`;
}

function hexGroup([high = 0, low = 0]: readonly number[]): string {
  return ((high << 8) | low).toString(16);
}

function longestZeroRun(groups: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === '0') length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}
