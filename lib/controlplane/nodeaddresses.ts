import { BlockList, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Family } from '../model/portal.js';

/** Finds the node addresses that NodePorts bind, by the rules of kube-proxy's --nodeport-addresses. */
export class NodeAddresses {
  readonly #ranges: BlockList;
  readonly #all: boolean;

  /** @param cidrs empty means all addresses of the node */
  constructor(cidrs: readonly string[]) {
    this.#all = cidrs.length === 0;
    this.#ranges = rangesOf(cidrs);
  }

  /** The addresses of a family to bind now; the wildcard where all are wanted. */
  of(family: Family): string[] {
    if (this.#all) return [family === 'IPv6' ? '::' : '0.0.0.0'];
    const type = family === 'IPv6' ? 'ipv6' : 'ipv4';
    return Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter((entry) => entry.family === family && this.#ranges.check(entry.address, type))
      .filter((entry) => !entry.address.startsWith('fe80:'))
      .map((entry) => entry.address);
  }
}

/** Every address of a family that other hosts may know this node by. */
export function ownAddresses(family: Family): string[] {
  return Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .filter((entry) => entry.family === family && !entry.internal)
    .map((entry) => entry.address);
}

/** A set of CIDRs, of either family, to look addresses up in. */
export function rangesOf(cidrs: readonly string[]): BlockList {
  const ranges = new BlockList();
  for (const cidr of cidrs) {
    const [network, prefix] = cidr.split('/');
    ranges.addSubnet(network, Number(prefix), isIPv6(network) ? 'ipv6' : 'ipv4');
  }
  return ranges;
}
