/**
 * What the control plane wants the data plane and the redirect driver to do: plain values, no Kubernetes
 * objects, so that every source ends in the same language.
 */

import type { Family } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import type { Admission } from './admission.js';
import type { ServicePolicy } from './policy.js';

/**
 * A place that clients use: a ClusterIP, an external IP or a load balancer's ingress IP, with the Service's
 * port.
 */
export interface Vip {
  readonly address: string;
  readonly port: number;
}

/** One place a connection or a flow can be sent to. */
export interface Endpoint {
  /**
   * Identity of the pod, the same on every port and protocol of a Service, so that ClientIP affinity can
   * meet one pod on all of them: `namespace/name` of the targetRef, else the address.
   */
  readonly id: string;
  readonly address: string;
  readonly port: number;
}

/**
 * One Service port of one IP family, with everything that shares its endpoints and its round robin.
 *
 * Most Service ports are one portal. If the external addresses lead to other endpoints than the ClusterIP, or
 * let in other clients, they are portals of their own, with a scope in their key.
 */
export interface Portal {
  /**
   * Unique and stable: `namespace/service:portName/PROTOCOL/Family`, for example `default/web:http/TCP/IPv4`.
   * A scope, if any, comes before the protocol: `default/web:http/external/TCP/IPv4`.
   */
  readonly key: string;
  /** `namespace/name`. Pins are kept per Service, over all its ports. */
  readonly service: string;
  /** Port name, empty where the Service has one unnamed port. */
  readonly portName: string;
  readonly protocol: Protocol;
  readonly family: Family;
  readonly vips: readonly Vip[];
  /** Port bound on the node's own addresses, or null. */
  readonly nodePort: number | null;
  /** The Service's own record, the same on all its portals. */
  readonly policy: ServicePolicy;
  /**
   * As far as the Service says. The node adds its own addresses to the insiders, which the model does not
   * know.
   */
  readonly admission: Admission;
  /** Eligible endpoints in a stable order (sorted). */
  readonly endpoints: readonly Endpoint[];
  /**
   * What becomes of clients while `endpoints` is empty. `refuse`: they are refused at once. `ignore`: other
   * nodes have endpoints, so clients get no answer, and a load balancer's next try can reach one of those
   * nodes.
   */
  readonly unserved: 'refuse' | 'ignore';
}

/** Desired portals by key. */
export type Snapshot = ReadonlyMap<string, Portal>;
