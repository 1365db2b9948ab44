import { AF_INET6 } from './constants.js';

/*
 * Reads a sockaddr_in or sockaddr_in6 in place, as 32-bit words of a block with many sockaddrs. The sockaddr
 * begins at word `at`. These functions allocate nothing.
 *
 * struct sockaddr_in: family u16, port u16 in network order, address. struct sockaddr_in6: family, port, flow
 * label u32, address, scope u32 (ip(7), ipv6(7)).
 */

const SCOPE_WORD = 6;

/** Number of words of an address. */
export function addressWords(isV6: boolean): number {
  return isV6 ? 4 : 1;
}

/** The word where the address of a sockaddr begins. */
export function addressAt(at: number, isV6: boolean): number {
  return isV6 ? at + 2 : at + 1;
}

export function isV6At(words: Int32Array, at: number): boolean {
  return (words[at] & 0xffff) === AF_INET6;
}

/** Family and port in one word, for comparisons. */
export function familyAndPortAt(words: Int32Array, at: number): number {
  return words[at];
}

export function portAt(words: Int32Array, at: number): number {
  const word = words[at];
  return ((word >>> 8) & 0xff00) | (word >>> 24);
}

/** Whether two addresses are the same. `aAt` and `bAt` are the words where they begin. */
export function isSameAddress(
  a: Int32Array,
  aAt: number,
  b: Int32Array,
  bAt: number,
  isV6: boolean,
): boolean {
  if (a[aAt] !== b[bAt]) return false;
  return !isV6 || (a[aAt + 1] === b[bAt + 1] && a[aAt + 2] === b[bAt + 2] && a[aAt + 3] === b[bAt + 3]);
}

/**
 * Whether two sockaddrs of one family name the same socket. The flow label is not compared, because it may
 * differ from datagram to datagram.
 */
export function isSameSocket(a: Int32Array, aAt: number, b: Int32Array, bAt: number, isV6: boolean): boolean {
  if (a[aAt] !== b[bAt] || (isV6 && a[aAt + SCOPE_WORD] !== b[bAt + SCOPE_WORD])) return false;
  return isSameAddress(a, addressAt(aAt, isV6), b, addressAt(bAt, isV6), isV6);
}
