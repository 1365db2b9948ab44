/**
 * Kubernetes objects with only the fields that a Service proxy reads. If another field changes (status,
 * resourceVersion), the new value is equal to the old one, and nothing has to be done.
 */

import type { Family } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import type { ServicePolicy } from '../portal/policy.js';
import type { Refusal } from './problem.js';

export type ServiceType = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
/** The protocols of the API. {@link Protocol} has the protocols that are proxied. */
export type ServiceProtocol = 'TCP' | 'UDP' | 'SCTP';
/** Local sends clients to endpoints of this node only. */
export type TrafficPolicy = 'Cluster' | 'Local';

export interface ObjectMeta {
  readonly namespace: string;
  readonly name: string;
  /** creationTimestamp in milliseconds since the epoch. Null if a manifest has none. */
  readonly createdMs: number | null;
  /** The label that tells ordinary proxies to ignore the object. Null if it has none. */
  readonly excludedBy: string | null;
}

/** v1 Service. Addresses are canonical. */
export interface Service extends ObjectMeta {
  readonly type: ServiceType;
  /** `clusterIP: None`. */
  readonly headless: boolean;
  /** `spec.clusterIPs`, else `spec.clusterIP`. Empty if the Service is headless or has no address yet. */
  readonly clusterIPs: readonly string[];
  readonly ipFamilies: readonly Family[];
  readonly externalIPs: readonly string[];
  /**
   * `status.loadBalancer.ingress[].ip`. Addresses of ipMode Proxy are left out, because their traffic must go
   * through the load balancer.
   */
  readonly ingressIPs: readonly string[];
  readonly ports: readonly ServicePort[];
  readonly policy: ServicePolicy;
  readonly publishNotReadyAddresses: boolean;
  /** For clients of the ClusterIPs. */
  readonly internalTrafficPolicy: TrafficPolicy;
  /** For clients of external IPs, load-balancer ingress IPs and node ports. */
  readonly externalTrafficPolicy: TrafficPolicy;
  /** CIDRs of the clients that may use the load-balancer ingress IPs; empty means all. */
  readonly loadBalancerSourceRanges: readonly string[];
  /** The port where load balancers ask whether this node has endpoints. Null if the Service has none. */
  readonly healthCheckNodePort: number | null;
  /** Addresses, ranges and annotations that cannot be used. The Service is served without them. */
  readonly refused: readonly Refusal[];
}

export interface ServicePort {
  /** Empty if the Service has one port without a name. */
  readonly name: string;
  readonly protocol: ServiceProtocol;
  readonly port: number;
  readonly nodePort: number | null;
}

/** A port that kube-portal can serve. */
export type ProxiedPort = ServicePort & { readonly protocol: Protocol };

export function isProxied(port: ServicePort): port is ProxiedPort {
  return port.protocol !== 'SCTP';
}

/** Services of other types may still have node ports from an earlier type. Those are ignored. */
export function hasNodePorts({ type }: Service): boolean {
  return type === 'NodePort' || type === 'LoadBalancer';
}

/** discovery.k8s.io/v1 EndpointSlice, or one part of a v1 Endpoints object. */
export interface EndpointSlice extends ObjectMeta {
  /** The Service that has these endpoints, as `namespace/name`. */
  readonly service: string;
  readonly addressType: Family | 'FQDN';
  readonly ports: readonly SlicePort[];
  readonly endpoints: readonly SliceEndpoint[];
  /**
   * Time of the change that led to this version, ms since the epoch, as the endpoints' controller noted it.
   * Null if it noted none.
   */
  readonly triggeredMs: number | null;
}

export interface SlicePort {
  readonly name: string;
  readonly protocol: ServiceProtocol;
  readonly port: number;
}

export interface SliceEndpoint {
  readonly address: string;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  /** `namespace/name` of the targetRef. */
  readonly target: string | null;
  /** The node that the endpoint runs on. */
  readonly nodeName: string | null;
  /** Zones and nodes whose clients should use the endpoint. Null if there are no hints. */
  readonly hints: TopologyHints | null;
}

export interface TopologyHints {
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
}

/** All objects that a source knows at one moment, by `namespace/name`. */
export interface ObjectSet {
  readonly services: ReadonlyMap<string, Service>;
  readonly slices: ReadonlyMap<string, EndpointSlice>;
}

/**
 * The key of an object in an {@link ObjectSet}. Made with join, because the result is one flat string: V8
 * keeps a template string as a chain of its parts.
 */
export function objectKey({
  namespace,
  name,
}: {
  readonly namespace: string;
  readonly name: string;
}): string {
  return [namespace, name].join('/');
}
