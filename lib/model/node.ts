import { isDeepStrictEqual } from 'node:util';
import type { ObjectMeta } from './objects.js';

/** The facts about this node that decide which endpoints its clients get. */
export interface Node {
  /** Endpoints with this nodeName are local. */
  readonly name: string;
  /** Its `topology.kubernetes.io/zone`; null if it has none or is not known. */
  readonly zone: string | null;
  /**
   * Known CIDRs of this node's own pods. If these pods use a Service's external addresses, that is traffic
   * inside the cluster. A pod of another node reaches this node through an external address only, like
   * clients outside.
   */
  readonly podCidrs: readonly string[];
  /** Known addresses on which NodePorts are served. */
  readonly nodePortAddresses: readonly string[];
}

/** What the API server tells about this Node. */
export interface NodeState extends ObjectMeta, Omit<Node, 'nodePortAddresses'> {
  /** At most one address of each family, chosen and ordered as kubelet and kube-proxy do. */
  readonly addresses: readonly string[];
  /**
   * False when the node is about to be deleted. Load balancers should then send new clients to other nodes
   * (kube-proxy's KEP-3836). This node still serves all clients.
   */
  readonly isEligible: boolean;
}

/** Whether the choice of endpoints is the same with both descriptions. */
export function isSameNode(a: Node, b: Node): boolean {
  return (
    a.name === b.name &&
    a.zone === b.zone &&
    isDeepStrictEqual(a.podCidrs, b.podCidrs) &&
    isDeepStrictEqual(a.nodePortAddresses, b.nodePortAddresses)
  );
}
