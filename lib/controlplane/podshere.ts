import { FAMILIES, familyOf } from '../net/address.js';
import { cidrContains } from '../net/cidr.js';
import { rangesOnLink } from '../sys/routes.js';

/**
 * The CIDRs of the addresses of this node's own pods. The cluster's CIDRs contain the pods of all nodes. Pods
 * of this node have addresses in the Node's podCIDRs. Some network plug-ins allot addresses themselves: then
 * the pods of this node are in ranges that it reaches without a router. If neither is known for a family, all
 * pods of the cluster count as pods of this node.
 *
 * @param clusterCidrs the CIDRs of --cluster-cidr. Empty: not given.
 * @param podCidrs the podCIDRs of the Node. Empty: not known.
 * @param onLink the CIDRs that this node reaches without a router
 */
export function podsHere(
  clusterCidrs: readonly string[],
  podCidrs: readonly string[],
  onLink: () => readonly string[] = rangesOnLink,
): readonly string[] {
  if (clusterCidrs.length === 0) return podCidrs;
  const here = [
    ...podCidrs,
    ...onLink().filter((range) => clusterCidrs.some((cidr) => cidrContains(cidr, range))),
  ];
  return FAMILIES.flatMap((family) => {
    const isOfFamily = (cidr: string) => familyOf(cidr) === family;
    const known = [...new Set(here.filter(isOfFamily))];
    return known.length > 0 ? known : clusterCidrs.filter(isOfFamily);
  });
}
