import { hasNodePorts, type Service, type TrafficPolicy } from './objects.js';

/** Addresses of a Service with the same rules for their clients. */
export interface Scope {
  /** Part of the portal's key. Empty for the ClusterIPs and the addresses that share their portal. */
  readonly name: '' | 'external' | 'load-balancer';
  readonly trafficPolicy: TrafficPolicy;
  readonly addresses: readonly string[];
  readonly hasNodePort: boolean;
  readonly sources: readonly string[];
}

/**
 * External addresses share the ClusterIPs' portal as long as both traffic policies are the same, so most
 * Services have one portal per port. Source ranges apply to the ingress IPs only, as in kube-proxy.
 */
export function serviceScopes(service: Service): readonly Scope[] {
  const { clusterIPs, externalIPs, ingressIPs, loadBalancerSourceRanges: sources } = service;
  const { internalTrafficPolicy: internal, externalTrafficPolicy: external } = service;
  const name = internal === external ? '' : 'external';
  const outside = [...externalIPs, ...ingressIPs].filter((address) => !clusterIPs.includes(address));
  const guarded = outside.filter((address) => sources.length > 0 && ingressIPs.includes(address));
  const open = outside.filter((address) => !guarded.includes(address));
  const scope = (
    scopeName: Scope['name'],
    trafficPolicy: TrafficPolicy,
    addresses: readonly string[],
  ): Scope => ({
    name: scopeName,
    trafficPolicy,
    addresses: [...new Set(addresses)],
    hasNodePort: scopeName === name && hasNodePorts(service),
    sources: [],
  });
  const scopes = [
    scope('', internal, name === '' ? [...clusterIPs, ...open] : clusterIPs),
    { ...scope('load-balancer', external, guarded), hasNodePort: false, sources },
  ];
  return name === '' ? scopes : [...scopes, scope('external', external, open)];
}
