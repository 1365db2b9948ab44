import { FAMILIES, familyOf } from '../net/address.js';
import { cidrContains } from '../net/cidr.js';
import { rangesOnLink } from '../sys/routes.js';

/**
 * Where this node's own pods have their addresses, as CIDRs. The cluster's ranges tell who is a pod, not
 * whose: its pods are in the Node's podCIDRs, or, with network plug-ins that allot addresses themselves,
 * behind ranges that need no router. Where neither tells, every pod of the cluster counts.
 *
 * @param clusterCidrs what --cluster-cidr says; empty where it says nothing
 * @param podCidrs the Node's; empty where they are not known
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
