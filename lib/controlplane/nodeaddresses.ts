import { networkInterfaces } from 'node:os';
import { type Family, familyOf, WILDCARD } from '../net/address.js';
import { CidrSet } from '../net/cidr.js';

/**
 * Words that --nodeport-addresses takes beside CIDRs, as in kube-proxy. `primary` stands for the addresses in
 * the Node object.
 */
export const NODE_PORT_KEYWORDS = ['primary', 'localhost', 'all'] as const;

/** Milliseconds. The addresses of thousands of portals are listed once in this time. */
const FRESH_MS = 1000;
/** Each of them takes a rule for each NodePort. What comes to others is relayed. */
const MAX_SINGLE = 16;

/** Finds the node addresses that NodePorts bind, by the rules of kube-proxy's --nodeport-addresses. */
export class NodeAddresses {
  readonly #wanted: readonly string[];
  readonly #primary: () => readonly string[];
  readonly #single = new Map<Family, { readonly addresses: readonly string[]; readonly untilMs: number }>();

  /**
   * @param wanted CIDRs and {@link NODE_PORT_KEYWORDS}. A family without any is served on all addresses.
   * @param primary the addresses that `primary` stands for now. Empty: not known yet.
   */
  constructor(wanted: readonly string[], primary: () => readonly string[] = () => []) {
    this.#wanted = wanted;
    this.#primary = primary;
  }

  /** The addresses of a family to bind now. The wildcard alone if all are wanted. */
  of(family: Family): string[] {
    const primary = this.#wanted.includes('primary') ? this.#primary() : null;
    const cidrs = this.#wanted
      .flatMap((item) => expand(item, primary ?? []))
      .filter((cidr) => familyOf(cidr) === family);
    // Until the node's addresses are known: a NodePort for few addresses must not be open on all.
    if (cidrs.length === 0) return primary?.length === 0 ? [] : [WILDCARD[family]];
    return cidrs.includes(ALL[family]) ? [WILDCARD[family]] : addressesIn(cidrs, family);
  }

  /**
   * The addresses of a family by which other hosts reach NodePorts, one by one: at most 16, without loopback
   * and link-local addresses. They are of the last second.
   */
  single(family: Family): readonly string[] {
    const now = performance.now();
    const known = this.#single.get(family);
    if (known !== undefined && now < known.untilMs) return known.addresses;
    const bound = this.of(family);
    const own = ownAddresses(family).filter((address) => !address.startsWith(LINK_LOCAL));
    const addresses = own
      .filter((address) => bound.includes(WILDCARD[family]) || bound.includes(address))
      .slice(0, MAX_SINGLE);
    this.#single.set(family, { addresses, untilMs: now + FRESH_MS });
    return addresses;
  }
}

const LINK_LOCAL = 'fe80:';

const ALL = { IPv4: '0.0.0.0/0', IPv6: '::/0' } as const;

function expand(item: string, primary: readonly string[]): readonly string[] {
  switch (item) {
    case 'primary':
      return primary.map((address) => `${address}/${familyOf(address) === 'IPv6' ? 128 : 32}`);
    case 'localhost':
      return ['127.0.0.0/8', '::1/128'];
    case 'all':
      return Object.values(ALL);
    default:
      return [item];
  }
}

function addressesIn(cidrs: readonly string[], family: Family): string[] {
  const ranges = new CidrSet(cidrs);
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((entry) => entry.family === family && ranges.has(entry.address))
    .filter((entry) => !entry.address.startsWith(LINK_LOCAL))
    .map((entry) => entry.address);
}

/**
 * All addresses of a family that this node has, without the loopback device's. Some network plugins give one
 * address to the devices of all pods.
 */
export function ownAddresses(family: Family): string[] {
  const entries = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  const own = entries.filter((entry) => entry.family === family && !entry.internal);
  return [...new Set(own.map((entry) => entry.address))];
}
