import { addressText, canonicalAddress } from '../../net/address.js';
import { parseCidr } from '../../net/cidr.js';

/** More would need more time for a round than any answer is worth. */
export const MOST_CLIENTS = 1000;

/**
 * The addresses of a list of addresses and CIDRs, each once. Of an IPv4 range of more than two addresses, the
 * first and the last are left out: they name the network and its broadcast.
 * @throws TypeError if a text is neither; RangeError above {@link MOST_CLIENTS}
 */
export function clientAddresses(texts: readonly string[]): string[] {
  const addresses = new Set<string>();
  for (const text of texts) {
    for (const address of text.includes('/') ? addressesIn(text) : [text]) {
      const canonical = canonicalAddress(address);
      if (canonical === null) throw new TypeError(`not the address of a host: ${address}`);
      addresses.add(canonical);
    }
  }
  if (addresses.size > MOST_CLIENTS) throw tooMany();
  return [...addresses];
}

function addressesIn(cidr: string): string[] {
  const { bytes, prefix } = parseCidr(cidr);
  const isV4 = bytes.length === 4;
  const free = bytes.length * 8 - prefix;
  if (2 ** free > MOST_CLIENTS + 2) throw tooMany();
  const [network, count] = [masked(bytes, prefix), 2 ** free];
  const all = Array.from({ length: count }, (_, index) => addressText(plus(network, index)));
  if (isV4) return count > 2 ? all.slice(1, -1) : all;
  // The first address of an IPv6 range is for the routers of its subnet (RFC 4291, 2.6.1).
  return count > 1 ? all.slice(1) : all;
}

function masked(bytes: readonly number[], prefix: number): number[] {
  return bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, prefix - 8 * index))) & 255);
}

function plus(bytes: readonly number[], number: number): number[] {
  const sum = [...bytes];
  let carry = number;
  for (let index = sum.length - 1; index >= 0 && carry > 0; index--) {
    carry += sum[index] ?? 0;
    sum[index] = carry & 255;
    carry >>>= 8;
  }
  return sum;
}

function tooMany(): RangeError {
  return new RangeError(`more than ${MOST_CLIENTS} client addresses`);
}
