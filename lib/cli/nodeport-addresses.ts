import { type NodeAddresses, ownAddresses } from '../controlplane/nodeaddresses.js';
import type { NodeState } from '../model/node.js';
import { FAMILIES, familyOf, WILDCARD } from '../net/address.js';

const LOOPBACK = ['127.0.0.1', '::1'];

/** The addresses that health-check node ports listen on: those that serve NodePorts. Null: all addresses. */
export function healthCheckAddresses(addresses: NodeAddresses): readonly string[] | null {
  const hosts = FAMILIES.flatMap((family) => addresses.of(family));
  return FAMILIES.every((family) => hosts.includes(WILDCARD[family])) ? null : hosts;
}

/**
 * The addresses that serve NodePorts. If NodePorts are served on all addresses, the result has the addresses
 * of the Node object: with thousands of addresses, the kernel must not list them all at every change. A
 * manifest has no Node object and seldom changes, so there the kernel lists the node's addresses.
 */
export function nodePortAddresses(addresses: NodeAddresses, node: NodeState | null): readonly string[] {
  return FAMILIES.flatMap((family) => {
    const served = addresses.of(family);
    if (!served.includes(WILDCARD[family])) return served;
    const known = node === null ? ownAddresses(family) : node.addresses;
    return [...known, ...LOOPBACK].filter((address) => familyOf(address) === family);
  });
}
