import { type Family, familyOf } from '../net/address.js';
import { EVERYONE, type Insiders } from '../portal/admission.js';
import type { Masquerade, Portal, PortalVip } from '../portal/portal.js';
import { compact, NONE } from './compact.js';
import { isProxied, objectKey, type ProxiedPort, type Service, type TrafficPolicy } from './objects.js';
import type { Problem } from './problem.js';
import { type Scope, serviceScopes } from './scopes.js';
import { unservedProblems } from './unserved.js';

/** The part of a portal that clients see: everything without its endpoints. */
export interface Frontend extends Omit<Portal, 'endpoints' | 'unserved'> {
  /** Which endpoints its clients are sent to. */
  readonly trafficPolicy: TrafficPolicy;
}

/** What one Service asks for, before other Services are compared with it. */
export interface Frontends {
  readonly frontends: readonly Frontend[];
  readonly problems: readonly Problem[];
}

const NO_FRONTENDS: Frontends = { frontends: NONE, problems: NONE };

/**
 * One frontend for each port, family and scope of a Service. Headless and ExternalName Services, and Services
 * with the label for another proxy, have none. An SCTP port has none and is a problem.
 */
export function serviceFrontends(service: Service, podCidrs: readonly string[]): Frontends {
  if (service.headless || service.type === 'ExternalName' || service.excludedBy !== null) return NO_FRONTENDS;
  const families = serviceFamilies(service);
  const scopes = serviceScopes(service);
  const proxied = service.ports.filter(isProxied);
  const frontends = families.flatMap((family) =>
    proxied.flatMap((port) => portFrontends(service, port, family, scopes, podCidrs)),
  );
  return {
    frontends: compact(frontends),
    problems: compact(unservedProblems(service, families)),
  };
}

/** The frontends of one port: one for each scope that has an address or a node port in this family. */
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
    .filter(({ vips, nodePort }) => vips.length > 0 || nodePort !== null);
  const internal = frontends.find(({ key }) => key === portalKey(service, port, family, ''));
  return frontends.map((scoped) =>
    internal?.trafficPolicy === 'Cluster' && scoped.trafficPolicy === 'Local'
      ? withInsiders(scoped, { portal: internal.key, sources: podCidrs.filter(ofFamily) })
      : scoped,
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
      .map(
        (address): PortalVip => ({ address, port: port.port, masquerade: masqueradeOf(service, address) }),
      ),
    nodePort: scope.hasNodePort ? port.nodePort : null,
    nodePortMasquerade: masqueradeOutside(service),
    policy: service.policy,
    admission: sources.length > 0 ? { sources, insiders: null } : EVERYONE,
    trafficPolicy: scope.trafficPolicy,
  };
}

function masqueradeOf(service: Service, address: string): Masquerade {
  return service.clusterIPs.includes(address) ? 'off-cluster' : masqueradeOutside(service);
}

/** Another node's pod must answer through this node, because the client sent its packets here. */
function masqueradeOutside({ externalTrafficPolicy }: Service): Masquerade {
  return externalTrafficPolicy === 'Local' ? 'never' : 'always';
}

/** A copy of the frontend with these insiders. Null: without insiders. */
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
 * The families in which a Service is served. As in kube-proxy, these are the families of its ClusterIPs. In a
 * manifest there may be none: then it is `ipFamilies`, and IPv4 if that is missing too.
 */
function serviceFamilies({ clusterIPs, ipFamilies }: Service): readonly Family[] {
  const families = clusterIPs.length > 0 ? clusterIPs.map(familyOf) : ipFamilies;
  return families.length > 0 ? [...new Set(families)] : ['IPv4'];
}
