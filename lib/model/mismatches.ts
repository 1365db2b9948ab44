import type { Portal } from '../portal/portal.js';
import { type EndpointSlice, objectKey, type Service, type SlicePort } from './objects.js';
import { type Problem, serviceProblem } from './problem.js';

/** One port of a Service in one family. */
type PortOfFamily = Pick<Portal, 'portName' | 'protocol' | 'family'>;

/**
 * A problem for each port without endpoints in a Service whose slices have endpoints. Then no slice has the
 * port's name and protocol, or all slices are of another family. It is no problem if only one family of a
 * dual-stack Service has endpoints, because its pods may have one family only.
 */
export function mismatchProblems(
  service: Service,
  portals: readonly Portal[],
  slices: readonly EndpointSlice[],
): Problem[] {
  const unserved = portals.filter(({ endpoints }) => endpoints.length === 0);
  if (unserved.length === 0) return [];
  const filled = slices.filter(({ endpoints, excludedBy }) => endpoints.length > 0 && excludedBy === null);
  const mismatches = unserved.map((port) => mismatch(service, port, portals, filled));
  return distinct(mismatches.filter((problem) => problem !== null));
}

function mismatch(
  service: Service,
  port: PortOfFamily,
  portals: readonly PortOfFamily[],
  filled: readonly EndpointSlice[],
): Problem | null {
  const { family, portName, protocol } = port;
  const ofFamily = filled.filter(({ addressType }) => addressType === family);
  const isSamePort = (other: Pick<SlicePort, 'name' | 'protocol'>) =>
    other.name === portName && other.protocol === protocol;
  if (ofFamily.some(({ ports }) => ports.some(isSamePort))) return null;
  const [slice] = ofFamily;
  if (slice !== undefined) {
    const index = service.ports.findIndex(isSamePort);
    const message =
      `has no endpoints: EndpointSlice ${objectKey(slice)} has no port ${portText(portName, protocol)} but ` +
      `${portsText(slice)}; name and protocol must be the same in both`;
    return serviceProblem(service, `spec.ports[${index}]`, message);
  }
  const ofOther = filled.find(({ addressType }) => addressType !== 'FQDN');
  if (ofOther === undefined || portals.some((other) => other.family === ofOther.addressType)) return null;
  const message = `no endpoints are ${family}: EndpointSlice ${objectKey(ofOther)} has ${ofOther.addressType} addresses; give the Service a ClusterIP of the same family as its endpoints`;
  return serviceProblem(service, 'spec.clusterIPs', message);
}

function portsText({ ports }: EndpointSlice): string {
  return ports.map(({ name, protocol }) => portText(name, protocol)).join(', ') || 'none';
}

function portText(name: string, protocol: string): string {
  return name === '' ? `without a name (${protocol})` : `${name} (${protocol})`;
}

/** Without duplicates: several portals of one port have the same problem. */
function distinct(problems: readonly Problem[]): Problem[] {
  return problems.filter(
    ({ field, message }, index) =>
      problems.findIndex((other) => other.field === field && other.message === message) === index,
  );
}
