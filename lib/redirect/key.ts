import { createHash } from 'node:crypto';
import { addressBytes, addressText, type Family } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';

/**
 * Keys of the rule tree. A key is the destination address, the protocol and the destination port of a packet,
 * in this order. One character is two bits; the protocol is one character. So each prefix of a key is a match
 * that iptables can express, and the order of strings is the order of matches.
 */
const DIGIT_BITS = 2;
const DIGITS_OF_BYTE = Array.from({ length: 256 }, (_, byte) => byte.toString(4).padStart(4, '0'));
const PORT_DIGITS = 8;

const ADDRESS_DIGITS = { IPv4: 16, IPv6: 64 } as const;
const PROTOCOL_DIGIT = { TCP: '0', UDP: '1' } as const;
const PROTOCOL_OF_DIGIT = ['tcp', 'udp'] as const;

/** Characters: the kernel's limit (XT_EXTENSION_MAXNAMELEN less the terminating zero). */
const MAX_CHAIN_NAME_LENGTH = 28;

/** @throws TypeError if `address` is not an IP address */
export function keyOf(address: string, protocol: Protocol, port: number): string {
  return keyOfBytes(addressBytes(address), protocol, port);
}

/** As {@link keyOf}, for 4 or 16 address bytes. */
export function keyOfBytes(address: Iterable<number>, protocol: Protocol, port: number): string {
  let digits = '';
  for (const byte of address) digits += digitsOf(byte);
  return digits + PROTOCOL_DIGIT[protocol] + portKeyOf(port);
}

/** The inverse of {@link keyOf}. */
export function decodeKey(key: string): { address: Uint8Array; protocol: Protocol; port: number } {
  const addressDigits = key.length - PORT_DIGITS - 1;
  return {
    address: Uint8Array.from(bytesOf(key.slice(0, addressDigits))),
    protocol: key[addressDigits] === PROTOCOL_DIGIT.TCP ? 'TCP' : 'UDP',
    port: firstPort(key.slice(addressDigits + 1)),
  };
}

function bytesOf(digits: string): number[] {
  return Array.from({ length: digits.length / 4 }, (_, i) =>
    Number.parseInt(digits.slice(4 * i, 4 * i + 4), 4),
  );
}

/** How prefixes of keys become matches and chains. */
export interface Keyspace {
  /**
   * The part of an iptables rule that matches every packet whose key starts with `prefix`. Empty if every
   * packet matches.
   */
  matchOf(prefix: string): string;
  /** At most 28 characters. No two prefixes have the same name. */
  chainNameOf(prefix: string): string;
}

/** The keys of VIPs, see {@link keyOf}. */
export function vipKeyspace(family: Family): Keyspace {
  return {
    matchOf: (prefix) => vipMatch(family, prefix),
    chainNameOf: (prefix) => vipChainName(family, prefix),
  };
}

/** The keys of UDP proxy ports, see {@link portKeyOf}. */
export const portKeyspace: Keyspace = {
  matchOf: (prefix) => (prefix === '' ? '' : `-p udp -m udp --dport ${portRange(prefix)}`),
  chainNameOf: (prefix) => `KUBE-PORTALS-GUARD-${firstPort(prefix)}-${prefix.length * DIGIT_BITS}`,
};

export function portKeyOf(port: number): string {
  return digitsOf(port >> 8) + digitsOf(port & 255);
}

function digitsOf(byte: number): string {
  const digits = DIGITS_OF_BYTE[byte];
  if (digits === undefined) throw new RangeError(`not a byte: ${byte}`);
  return digits;
}

function vipMatch(family: Family, prefix: string): string {
  const addressDigits = ADDRESS_DIGITS[family];
  const length = Math.min(prefix.length, addressDigits);
  const parts: string[] = [];
  if (length > 0) parts.push(`-d ${prefixAddress(family, prefix)}/${length * DIGIT_BITS}`);
  if (prefix.length > addressDigits) {
    const protocol = PROTOCOL_OF_DIGIT[Number(prefix[addressDigits])];
    parts.push(`-p ${protocol}`);
    const portPrefix = prefix.slice(addressDigits + 1);
    if (portPrefix !== '') parts.push(`-m ${protocol} --dport ${portRange(portPrefix)}`);
  }
  return parts.join(' ');
}

/**
 * For example `KUBE-PORTAL-10.96.0.0-20`. IPv6 addresses have dots instead of colons, as the nft language
 * does not allow colons in names. If the name is too long, or the prefix ends inside the port, the name is a
 * digest, as in kube-proxy's chains. The rule that jumps to the chain shows its prefix.
 */
function vipChainName(family: Family, prefix: string): string {
  if (prefix.length <= ADDRESS_DIGITS[family]) {
    const address = prefixAddress(family, prefix).replaceAll(':', '.');
    const name = `KUBE-PORTAL-${address}-${prefix.length * DIGIT_BITS}`;
    if (name.length <= MAX_CHAIN_NAME_LENGTH) return name;
  }
  return `KUBE-PORTAL-${createHash('sha256').update(prefix).digest('hex').slice(0, 16).toUpperCase()}`;
}

function prefixAddress(family: Family, prefix: string): string {
  const digits = prefix.slice(0, ADDRESS_DIGITS[family]).padEnd(ADDRESS_DIGITS[family], '0');
  return addressText(bytesOf(digits));
}

function portRange(prefix: string): string {
  const first = firstPort(prefix);
  const last = first + 4 ** (PORT_DIGITS - prefix.length) - 1;
  return first === last ? `${first}` : `${first}:${last}`;
}

function firstPort(prefix: string): number {
  return Number.parseInt(prefix.padEnd(PORT_DIGITS, '0'), 4);
}
