import { type Family, familyOf } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import { EVERYONE, type Insiders } from '../portal/admission.js';
import type { Portal, Vip } from '../portal/portal.js';
import { compact, NONE } from './compact.js';
import { objectKey, type Service, type ServicePort, type TrafficPolicy } from './objects.js';
import { type Problem, serviceProblem } from './problem.js';

/** The client's side of a portal: everything but its endpoints. */
export interface Frontend extends Omit<Portal, 'endpoints' | 'unserved'> {
  /** Which endpoints its clients are sent to. */
  readonly trafficPolicy: TrafficPolicy;
}

/** What one Service, seen alone, asks for. */
export interface Frontends {
  readonly frontends: readonly Frontend[];
  readonly problems: readonly Problem[];
}

const NOTHING: Frontends = { frontends: NONE, problems: NONE };

/**
 * Service ports by family. Headless and ExternalName Services and those labelled for another proxy have none;
 * SCTP ports have none and are a problem.
 */
export function serviceFrontends(service: Service, podCidrs: readonly string[]): Frontends {
  if (service.headless || service.type === 'ExternalName' || service.excludedBy !== null) return NOTHING;
  const families = serviceFamilies(service);
  const scopes = serviceScopes(service);
  const proxied = service.ports.filter(isProxied);
  const frontends = families.flatMap((family) =>
    proxied.flatMap((port) => portFrontends(service, port, family, scopes, podCidrs)),
  );
  return {
    frontends: compact(frontends),
    problems: compact([
      ...service.refused.map(({ field, message }) => serviceProblem(service, field, message)),
      ...sctpProblems(service),
      ...familyProblems(service, families),
      ...unallocatedProblems(service),
    ]),
  };
}

type ProxiedPort = ServicePort & { readonly protocol: Protocol };

function isProxied(port: ServicePort): port is ProxiedPort {
  return port.protocol !== 'SCTP';
}

/** Addresses of a Service whose clients are treated alike. */
interface Scope {
  /** Part of the portal's key; empty for the ClusterIPs and what goes with them. */
  readonly name: '' | 'external' | 'load-balancer';
  readonly trafficPolicy: TrafficPolicy;
  readonly addresses: readonly string[];
  readonly hasNodePort: boolean;
  readonly sources: readonly string[];
}

/**
 * External addresses share the ClusterIPs' portal as long as both policies are the same, so that most Services have one
 * portal per port. Source ranges concern the ingress IPs only, as in kube-proxy.
 */
function serviceScopes(service: Service): readonly Scope[] {
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

/** The portals of one port: one for each scope that has an address or a node port in this family. */
function portFrontends(
  service: Service,
  port: ProxiedPort,
  family: Family,
  scopes: readonly Scope[],
  podCidrs: readonly string[],
): Frontend[] {
  const ofFamily = (cidr: string) => familyOf(cidr) === family;
  const frontends = scopes
    .map((scope) => frontend(service, port, family, scope))
    .filter((one) => one.vips.length > 0 || one.nodePort !== null);
  const inside = frontends.find((one) => one.key === portalKey(service, port, family, ''));
  return frontends.map((one) =>
    inside?.trafficPolicy === 'Cluster' && one.trafficPolicy === 'Local'
      ? withInsiders(one, { portal: inside.key, sources: podCidrs.filter(ofFamily) })
      : one,
  );
}

function frontend(service: Service, port: ProxiedPort, family: Family, scope: Scope): Frontend {
  const sources = scope.sources.filter((cidr) => familyOf(cidr) === family);
  return {
    key: portalKey(service, port, family, scope.name),
    service: objectKey(service),
    portName: port.name,
    protocol: port.protocol,
    family,
    vips: scope.addresses
      .filter((address) => familyOf(address) === family)
      .map((address): Vip => ({ address, port: port.port })),
    nodePort: scope.hasNodePort ? port.nodePort : null,
    policy: service.policy,
    admission: sources.length > 0 ? { sources, insiders: null } : EVERYONE,
    trafficPolicy: scope.trafficPolicy,
  };
}

/** The frontend with other insiders, or with none. */
export function withInsiders(frontend: Frontend, insiders: Insiders | null): Frontend {
  return { ...frontend, admission: { ...frontend.admission, insiders } };
}

function portalKey(
  service: Service,
  { name, protocol }: ProxiedPort,
  family: Family,
  scope: Scope['name'],
): string {
  return [`${objectKey(service)}:${name}`, ...(scope === '' ? [] : [scope]), protocol, family].join('/');
}

/**
 * The families a Service is served in are those of its ClusterIPs, as in kube-proxy. A manifest may have
 * none: then `ipFamilies` decides, and IPv4 where that is missing too.
 */
function serviceFamilies({ clusterIPs, ipFamilies }: Service): readonly Family[] {
  const families = clusterIPs.length > 0 ? clusterIPs.map(familyOf) : ipFamilies;
  return families.length > 0 ? [...new Set(families)] : ['IPv4'];
}

function hasNodePorts({ type }: Service): boolean {
  return type === 'NodePort' || type === 'LoadBalancer';
}

function sctpProblems(service: Service): Problem[] {
  return service.ports.flatMap((port, index) =>
    isProxied(port)
      ? []
      : [
          serviceProblem(
            service,
            `spec.ports[${index}].protocol`,
            `SCTP is not proxied; port ${port.port} is not served`,
          ),
        ],
  );
}

function familyProblems(service: Service, families: readonly Family[]): Problem[] {
  const check = (field: string, addresses: readonly string[]) =>
    addresses
      .filter((address) => !families.includes(familyOf(address)))
      .map((address) =>
        serviceProblem(
          service,
          field,
          `${address} is not served: the Service has no ${familyOf(address)} ClusterIP`,
        ),
      );
  return [
    ...check('spec.externalIPs', service.externalIPs),
    ...check('status.loadBalancer.ingress', service.ingressIPs),
  ];
}

/** In a cluster the API server fills these in; a manifest must name them. */
function unallocatedProblems(service: Service): Problem[] {
  const problems: Problem[] = [];
  const { clusterIPs, externalIPs, ingressIPs } = service;
  const addresses = [...clusterIPs, ...externalIPs, ...ingressIPs];
  const nodePorts = hasNodePorts(service) && service.ports.some((port) => port.nodePort !== null);
  if (addresses.length === 0 && !nodePorts) {
    problems.push(
      serviceProblem(service, 'spec.clusterIP', 'missing; nothing allocates one here, so give an address'),
    );
  }
  for (const [index, port] of service.ports.entries()) {
    if (service.type === 'NodePort' && port.nodePort === null) {
      const field = `spec.ports[${index}].nodePort`;
      problems.push(serviceProblem(service, field, 'missing; nothing allocates one here, so give a port'));
    }
  }
  return problems;
}
