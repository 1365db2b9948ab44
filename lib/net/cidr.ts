import { BlockList, isIP } from 'node:net';
import { addressBytes, type Family, familyOf, withoutLeadingZeros } from './address.js';

/** A range of addresses. All of them begin with the first `prefix` bits of `bytes`. */
export interface Cidr {
  /** 4 or 16 bytes in network order. Bits after the prefix may be set; they are ignored. */
  readonly bytes: readonly number[];
  readonly prefix: number;
}

/**
 * Reads `address/prefix`. An address without a prefix is a range of one address.
 *
 * @throws TypeError for anything else
 */
export function parseCidr(text: string): Cidr {
  const [address = '', written] = text.split('/');
  const bytes = addressBytes(address);
  const prefix = Number(written ?? bytes.length * 8);
  if (!(prefix >= 0 && prefix <= bytes.length * 8)) throw new TypeError(`not a CIDR: ${text}`);
  return { bytes, prefix };
}

/**
 * `address/prefix`, or null if the text is not a CIDR. As in kube-proxy, spaces around the text and leading
 * zeros are removed. Bits after the prefix may be set; they are ignored.
 */
export function canonicalCidr(text: string): string | null {
  const [, written = '', prefix = ''] = /^\s*([^\s/%]+)\/(\d{1,3})\s*$/.exec(text) ?? [];
  const address = withoutLeadingZeros(written);
  const bits = isIP(address) === 4 ? 32 : 128;
  return isIP(address) !== 0 && Number(prefix) <= bits ? `${address}/${Number(prefix)}` : null;
}

/** Whether all addresses of the range `inner` are in the range `outer`. */
export function cidrContains(outer: string, inner: string): boolean {
  const [address = ''] = inner.split('/');
  return parseCidr(inner).prefix >= parseCidr(outer).prefix && new CidrSet([outer]).has(address);
}

/**
 * A set of CIDRs and single addresses of both families. {@link has} tells whether an address is in a range.
 */
export class CidrSet {
  readonly #ranges = new BlockList();

  /** @throws TypeError if a text is not a CIDR */
  constructor(cidrs: Iterable<string>) {
    for (const cidr of cidrs) {
      const [address = ''] = cidr.split('/');
      this.#ranges.addSubnet(address, parseCidr(cidr).prefix, TYPE[familyOf(address)]);
    }
  }

  has(address: string): boolean {
    return this.#ranges.check(address, TYPE[familyOf(address)]);
  }
}

const TYPE: Readonly<Record<Family, 'ipv4' | 'ipv6'>> = { IPv4: 'ipv4', IPv6: 'ipv6' };
