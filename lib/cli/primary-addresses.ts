import type { NodeState } from '../model/node.js';
import { FAMILIES, familyOf, WILDCARD } from '../net/address.js';
import type { BindAddresses } from './parse.js';

/**
 * The primary addresses of the node, at most one for each family: the --bind-address, or else the first
 * address of the Node object (kube-proxy's detectNodeIPs). A family without either has none.
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
