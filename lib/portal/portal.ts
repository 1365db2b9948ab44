/**
 * What the control plane wants the data plane and the redirect driver to do. These are plain values without
 * Kubernetes objects, so all sources give the same kind of portal.
 */

import type { Family } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import type { Admission } from './admission.js';
import type { ServicePolicy } from './policy.js';

/**
 * An address and port that clients connect to: a ClusterIP, an external IP or a load balancer's ingress IP,
 * with the Service's port.
 */
export interface Vip {
  readonly address: string;
  readonly port: number;
}

/**
 * Whose packets the kernel carries with the node's address as their source, as kube-proxy does:
 *
 * - `always`: those of all clients.
 * - `off-cluster`: those of clients outside of the cluster's CIDRs.
 * - `never`: those of no client. Clients that are addresses of this node are masqueraded all the same.
 *
 * A relayed connection is always one of the node itself.
 */
export type Masquerade = 'always' | 'off-cluster' | 'never';

/** A VIP as a portal has it. */
export interface PortalVip extends Vip {
  readonly masquerade: Masquerade;
}

/** An address and port to which a connection or a flow can go. */
export interface Endpoint {
  /**
   * Identity of the pod: `namespace/name` of the targetRef, else the address. It is the same on every port
   * and protocol of a Service, so ClientIP affinity finds the same pod on all of them.
   */
  readonly id: string;
  readonly address: string;
  readonly port: number;
}

/**
 * One port of a Service in one IP family: all addresses that share the same endpoints and the same round
 * robin.
 *
 * Most Service ports are one portal. If the external addresses have other endpoints than the ClusterIP, or
 * serve other clients, they get separate portals with a scope in the key.
 */
export interface Portal {
  /**
   * Unique and stable: `namespace/service:portName/PROTOCOL/Family`, for example `default/web:http/TCP/IPv4`.
   * A scope, if any, comes before the protocol: `default/web:http/external/TCP/IPv4`.
   */
  readonly key: string;
  /** `namespace/name`. Pins are kept per Service, over all its ports. */
  readonly service: string;
  /** Name of the port. Empty if the Service has one port without a name. */
  readonly portName: string;
  readonly protocol: Protocol;
  readonly family: Family;
  readonly vips: readonly PortalVip[];
  /** Port bound on the node's own addresses, or null. */
  readonly nodePort: number | null;
  /** For clients of the NodePort. It means nothing where there is none. */
  readonly nodePortMasquerade: Masquerade;
  /** The Service's own record, the same on all its portals. */
  readonly policy: ServicePolicy;
  /**
   * What the Service defines. The control plane adds the node's own addresses to the insiders, because the
   * model does not know these addresses.
   */
  readonly admission: Admission;
  /**
   * Eligible endpoints in a stable order (sorted). If the policy asks for active-standby, the first is the
   * active one.
   */
  readonly endpoints: readonly Endpoint[];
  /**
   * What happens to clients while `endpoints` is empty. `refuse`: they are refused at once. `ignore`: other
   * nodes have endpoints, so clients get no answer, and a load balancer's next try can reach one of those
   * nodes.
   */
  readonly unserved: 'refuse' | 'ignore';
}

/** Desired portals by key. */
export type Snapshot = ReadonlyMap<string, Portal>;
