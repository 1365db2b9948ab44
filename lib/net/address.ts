import { isIPv4, isIPv6 } from 'node:net';

export type Family = 'IPv4' | 'IPv6';
export const FAMILIES: readonly Family[] = ['IPv4', 'IPv6'];

/** A socket that listens on this address listens on all addresses of the family. */
export const WILDCARD = { IPv4: '0.0.0.0', IPv6: '::' } as const;

/** Family of an IP address or a CIDR that is known to be valid. */
export function familyOf(address: string): Family {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

/**
 * The spelling of an address that all comparisons use (RFC 5952 for IPv6). Null if the text is not the
 * address of one host: an address with a zone (`fe80::1%eth0`) and the unspecified, broadcast and multicast
 * addresses cannot be VIPs or endpoints. Accepts the same texts as kube-proxy (ParseIPSloppy in
 * k8s.io/utils/net): numbers with leading zeros are decimal, and an IPv4-mapped address becomes its IPv4
 * address.
 */
export function canonicalAddress(text: string): string | null {
  const address = withoutLeadingZeros(text);
  if (isIPv4(address)) return isHostIPv4(address) ? address : null;
  if (!isIPv6(address) || address.includes('%')) return null;
  const bytes = addressBytes(address);
  if (isMapped(bytes)) return canonicalAddress(addressText(bytes.slice(12)));
  return bytes[0] === 255 || bytes.every((byte) => byte === 0) ? null : addressText(bytes);
}

/** Removes the leading zeros of each number. */
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

/** The text form of 4 or 16 address bytes. IPv6 has the form of RFC 5952. */
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

/** Whether only the host itself reaches a canonical address: 127.0.0.0/8 and ::1. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}
