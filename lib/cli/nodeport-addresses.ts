import { type NodeAddresses, ownAddresses } from '../controlplane/nodeaddresses.js';
import type { NodeState } from '../model/node.js';
import { FAMILIES, familyOf, WILDCARD } from '../net/address.js';

const LOOPBACK = ['127.0.0.1', '::1'];

/**
 * Where NodePorts are served. Where that is on all addresses, those count that the API server knows, so that
 * no change among thousands of addresses has the kernel asked for all of them; with a manifest, which seldom
 * changes, those that the node has.
 */
export function nodePortAddresses(addresses: NodeAddresses, node: NodeState | null): readonly string[] {
  return FAMILIES.flatMap((family) => {
    const served = addresses.of(family);
    if (!served.includes(WILDCARD[family])) return served;
    const known = node === null ? ownAddresses(family) : node.addresses;
    return [...known, ...LOOPBACK].filter((address) => familyOf(address) === family);
  });
}
