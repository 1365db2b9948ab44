import { isDeepStrictEqual } from 'node:util';
import type { ObjectMeta } from './objects.js';

/** The node that is served, as far as it decides who goes where. */
export interface Node {
  /** Endpoints with this nodeName are local. */
  readonly name: string;
  /** Its `topology.kubernetes.io/zone`; null where it has none or is not known. */
  readonly zone: string | null;
  /**
   * CIDRs of this node's own pods, as far as they are known. If these pods use a Service's external
   * addresses, that is traffic inside the cluster. A pod of another node that comes here came by an external
   * address, as clients outside do.
   */
  readonly podCidrs: readonly string[];
  /** Addresses that NodePorts are served on, as far as they are known. */
  readonly nodePortAddresses: readonly string[];
}

/** What the API server says about the own Node. */
export interface NodeState extends ObjectMeta, Omit<Node, 'nodePortAddresses'> {
  /** Its addresses as kubelet and kube-proxy choose them: at most one of each family, the first one first. */
  readonly addresses: readonly string[];
  /**
   * False once the node is about to be deleted. Load balancers should then send new clients elsewhere
   * (kube-proxy's KEP-3836); everything here works on.
   */
  readonly isEligible: boolean;
}

/** Whether two descriptions lead to the same decisions. */
export function isSameNode(a: Node, b: Node): boolean {
  return (
    a.name === b.name &&
    a.zone === b.zone &&
    isDeepStrictEqual(a.podCidrs, b.podCidrs) &&
    isDeepStrictEqual(a.nodePortAddresses, b.nodePortAddresses)
  );
}
