import { familyOf } from './address.js';
import { objectKey, type Service, type ServicePort } from './objects.js';
import type { Family, Portal, Protocol, Vip } from './portal.js';
import type { Problem } from './problem.js';

/** The client's side of a portal: everything but its endpoints. */
export type Front = Omit<Portal, 'endpoints'>;

/** What one Service, seen alone, asks for. */
export interface Fronts {
  readonly fronts: readonly Front[];
  readonly problems: readonly Problem[];
}

const NOTHING: Fronts = { fronts: [], problems: [] };

/**
 * Service ports by family. Headless and ExternalName Services and those labelled for another proxy have none;
 * SCTP ports have none and are a problem.
 */
export function serviceFronts(service: Service): Fronts {
  if (service.headless || service.type === 'ExternalName' || service.excludedBy !== null) return NOTHING;
  const families = serviceFamilies(service);
  const addresses = serviceAddresses(service);
  const proxied = service.ports.filter(isProxied);
  const fronts = families.flatMap((family) => {
    const own = addresses.filter((address) => familyOf(address) === family);
    return proxied.map((port) => front(service, port, family, own));
  });
  return {
    fronts: fronts.filter((one) => one.vips.length > 0 || one.nodePort !== null),
    problems: [
      ...sctpProblems(service),
      ...familyProblems(service, families),
      ...unallocatedProblems(service, addresses),
    ],
  };
}

function isProxied(port: ServicePort): port is ServicePort & { readonly protocol: Protocol } {
  return port.protocol !== 'SCTP';
}

function front(
  service: Service,
  port: ServicePort & { readonly protocol: Protocol },
  family: Family,
  addresses: readonly string[],
): Front {
  const name = objectKey(service);
  const timeoutSeconds = service.affinityTimeoutSeconds;
  return {
    key: `${name}:${port.name}/${port.protocol}/${family}`,
    service: name,
    portName: port.name,
    protocol: port.protocol,
    family,
    vips: addresses.map((address): Vip => ({ address, port: port.port })),
    nodePort: hasNodePorts(service) ? port.nodePort : null,
    affinity: timeoutSeconds === null ? null : { timeoutSeconds },
  };
}

/**
 * The families a Service is served in are those of its ClusterIPs, as in kube-proxy. A manifest may have
 * none: then `ipFamilies` decides, and IPv4 where that is missing too.
 */
function serviceFamilies({ clusterIPs, ipFamilies }: Service): readonly Family[] {
  const families = clusterIPs.length > 0 ? clusterIPs.map(familyOf) : ipFamilies;
  return families.length > 0 ? [...new Set(families)] : ['IPv4'];
}

function serviceAddresses({ clusterIPs, externalIPs, ingressIPs }: Service): string[] {
  return [...new Set([...clusterIPs, ...externalIPs, ...ingressIPs])];
}

function hasNodePorts({ type }: Service): boolean {
  return type === 'NodePort' || type === 'LoadBalancer';
}

function sctpProblems(service: Service): Problem[] {
  return service.ports.flatMap((port, index) =>
    isProxied(port)
      ? []
      : [
          problem(
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
        problem(
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
function unallocatedProblems(service: Service, addresses: readonly string[]): Problem[] {
  const problems: Problem[] = [];
  const nodePorts = hasNodePorts(service) && service.ports.some((port) => port.nodePort !== null);
  if (addresses.length === 0 && !nodePorts) {
    problems.push(
      problem(service, 'spec.clusterIP', 'missing; nothing allocates one here, so give an address'),
    );
  }
  for (const [index, port] of service.ports.entries()) {
    if (service.type === 'NodePort' && port.nodePort === null) {
      const field = `spec.ports[${index}].nodePort`;
      problems.push(problem(service, field, 'missing; nothing allocates one here, so give a port'));
    }
  }
  return problems;
}

function problem(service: Service, field: string, message: string): Problem {
  return { object: `Service ${objectKey(service)}`, field, message };
}
