/**
 * Kubernetes objects, cut down to what a Service proxy reads. An update of anything else (annotations,
 * resourceVersion) gives an equal value and costs nothing downstream.
 */

import type { Family } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import type { ServicePolicy } from '../portal/policy.js';
import type { Refusal } from './problem.js';

export type ServiceType = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
/** Protocols the API knows; {@link Protocol} are those that are proxied. */
export type ServiceProtocol = 'TCP' | 'UDP' | 'SCTP';
/** Local sends clients to endpoints of this node only. */
export type TrafficPolicy = 'Cluster' | 'Local';

export interface ObjectMeta {
  readonly namespace: string;
  readonly name: string;
  /** creationTimestamp in milliseconds since the epoch; null where a manifest has none. */
  readonly createdMs: number | null;
  /** The label, if any, by which the object asks ordinary proxies to leave it alone. */
  readonly excludedBy: string | null;
}

/** v1 Service. Addresses are canonical. */
export interface Service extends ObjectMeta {
  readonly type: ServiceType;
  /** `clusterIP: None`. */
  readonly headless: boolean;
  /** `spec.clusterIPs`, else `spec.clusterIP`; empty where headless or not allocated. */
  readonly clusterIPs: readonly string[];
  readonly ipFamilies: readonly Family[];
  readonly externalIPs: readonly string[];
  /**
   * `status.loadBalancer.ingress[].ip`. Those of ipMode Proxy are left out: their traffic must go through the
   * load balancer.
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
  /** Where load balancers ask whether this node has endpoints; null where nobody does. */
  readonly healthCheckNodePort: number | null;
  /** Single addresses and ranges that cannot be used; the Service is served without them. */
  readonly refused: readonly Refusal[];
}

export interface ServicePort {
  /** Empty for the one unnamed port. */
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

/** Other types may have kept node ports from before: they mean nothing. */
export function hasNodePorts({ type }: Service): boolean {
  return type === 'NodePort' || type === 'LoadBalancer';
}

/** discovery.k8s.io/v1 EndpointSlice, or one part of a v1 Endpoints object. */
export interface EndpointSlice extends ObjectMeta {
  /** The Service whose endpoints these are, as `namespace/name`. */
  readonly service: string;
  readonly addressType: Family | 'FQDN';
  readonly ports: readonly SlicePort[];
  readonly endpoints: readonly SliceEndpoint[];
  /**
   * When the change happened that led to this version, ms since the epoch, as the endpoints' controller notes
   * it; null if it does not.
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
  /** Zones and nodes whose clients should use the endpoint; null where nothing is said. */
  readonly hints: TopologyHints | null;
}

export interface TopologyHints {
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
}

/** Everything a source knows at one moment, by `namespace/name`. */
export interface ObjectSet {
  readonly services: ReadonlyMap<string, Service>;
  readonly slices: ReadonlyMap<string, EndpointSlice>;
}

/**
 * The key of an object in an {@link ObjectSet}. It is joined, because that makes one flat string: a template
 * string stays a chain of its parts.
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
