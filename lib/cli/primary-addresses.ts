import type { NodeState } from '../model/node.js';
import { FAMILIES, familyOf, WILDCARD } from '../net/address.js';
import type { BindAddresses } from './parse.js';

/**
 * The addresses that a node is known by, of each family at most one: the --bind-address, else the Node's
 * (kube-proxy's detectNodeIPs). Empty while neither is known.
 */
export function primaryAddresses(
  bindAddress: BindAddresses,
  node: Pick<NodeState, 'addresses'> | null,
): readonly string[] {
  return FAMILIES.flatMap((family) => {
    if (bindAddress[family] !== WILDCARD[family]) return bindAddress[family];
    return node?.addresses.find((address) => familyOf(address) === family) ?? [];
  });
}
