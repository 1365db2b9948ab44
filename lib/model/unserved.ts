import { type Family, familyOf } from '../net/address.js';
import { hasNodePorts, isProxied, type Service } from './objects.js';
import { type Problem, serviceProblem } from './problem.js';

/**
 * What a Service asks for and kube-portal cannot serve. Conflicts with other Services are not among these
 * problems.
 * @param families the families in which the Service is served
 */
export function unservedProblems(service: Service, families: readonly Family[]): Problem[] {
  return [
    ...service.refused.map(({ field, message }) => serviceProblem(service, field, message)),
    ...sctpProblems(service),
    ...familyProblems(service, families),
    ...unallocatedProblems(service),
  ];
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

/** In a cluster the API server sets these fields. In a manifest the user must set them. */
function unallocatedProblems(service: Service): Problem[] {
  const problems: Problem[] = [];
  const { clusterIPs, externalIPs, ingressIPs } = service;
  const addresses = [...clusterIPs, ...externalIPs, ...ingressIPs];
  const isOnNodePorts = hasNodePorts(service) && service.ports.some((port) => port.nodePort !== null);
  if (addresses.length === 0 && !isOnNodePorts) {
    problems.push(
      serviceProblem(
        service,
        'spec.clusterIP',
        'missing; give an address, because kube-portal allocates none',
      ),
    );
  }
  for (const [index, port] of service.ports.entries()) {
    if (service.type === 'NodePort' && port.nodePort === null) {
      const field = `spec.ports[${index}].nodePort`;
      problems.push(
        serviceProblem(service, field, 'missing; give a port, because kube-portal allocates none'),
      );
    }
  }
  return problems;
}
