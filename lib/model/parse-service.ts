import type { Family } from '../net/address.js';
import { compact, NONE } from './compact.js';
import { type Field, readValid } from './field.js';
import type { Service, ServicePort, ServiceType, TrafficPolicy } from './objects.js';
import { type Parsed, parseObject } from './parse.js';
import { readPolicy } from './parse-policy.js';
import type { Refusal } from './problem.js';

/** Reads a v1 Service as the API server or a manifest gives it. */
export function parseService(raw: unknown): Parsed<Service> {
  return parseObject('Service', raw, (object, meta) => {
    object.at('metadata').at('name').label();
    const spec = object.at('spec');
    const type = spec
      .at('type')
      .optional((field) => field.oneOf('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'), 'ClusterIP');
    const allocated = clusterIPFields(spec);
    const headless = allocated.some((field) => field.string() === 'None');
    const mayLackPorts = headless || type === 'ExternalName';
    const refused: Refusal[] = [];
    const ports = readPorts(spec.at('ports'), mayLackPorts);
    return {
      ...meta,
      type,
      headless,
      clusterIPs: headless ? NONE : compact(allocated.map((field) => field.address())),
      ipFamilies: readFamilies(spec.at('ipFamilies')),
      externalIPs: readAddresses(spec.at('externalIPs').items(), refused),
      ingressIPs: readIngressIPs(object.at('status').at('loadBalancer').at('ingress'), refused),
      ports,
      policy: readPolicy(object, ports, refused),
      publishNotReadyAddresses: spec
        .at('publishNotReadyAddresses')
        .optional((field) => field.boolean(), false),
      internalTrafficPolicy: readTrafficPolicy(spec.at('internalTrafficPolicy')),
      externalTrafficPolicy: readTrafficPolicy(spec.at('externalTrafficPolicy')),
      loadBalancerSourceRanges: readSourceRanges(spec, type, refused),
      healthCheckNodePort: spec.at('healthCheckNodePort').optional(readOptionalPort, null),
      refused: compact(refused),
    };
  });
}

/** Older API servers and clients write an empty string for "not set". */
function readTrafficPolicy(policy: Field): TrafficPolicy {
  const read = (field: Field) => (field.string() === '' ? 'Cluster' : field.oneOf('Cluster', 'Local'));
  return policy.optional(read, 'Cluster');
}

/** Ranges without any client: the unspecified addresses. */
const NOBODY = ['0.0.0.0/32', '::/128'];

/**
 * Only load balancers may have source ranges; another type may still have them from an earlier type, and they
 * are ignored. If all ranges are refused, no client may use the ingress IPs: an empty list would let in all
 * clients.
 */
function readSourceRanges(spec: Field, type: ServiceType, refused: Refusal[]): readonly string[] {
  if (type !== 'LoadBalancer') return NONE;
  const fields = spec.at('loadBalancerSourceRanges').items();
  const ranges = readValid(fields, refused, (field) => field.cidr());
  return fields.length > 0 && ranges.length === 0 ? NOBODY : ranges;
}

/** 0 stands for "none" in the API. */
function readOptionalPort(field: Field): number | null {
  return field.integer(0, 65535, 'a port') || null;
}

function clusterIPFields(spec: Field): readonly Field[] {
  const plural = spec.at('clusterIPs').items();
  const fields = plural.length > 0 ? plural : [spec.at('clusterIP')];
  return fields.filter((field) => !field.isBlank);
}

/**
 * Not every version of the API server checks these addresses. So an invalid address is left out, and the
 * others are used.
 */
function readAddresses(fields: readonly Field[], refused: Refusal[]): readonly string[] {
  return readValid(
    fields.filter((field) => !field.isBlank),
    refused,
    (field) => field.address(),
  );
}

function readFamilies(families: Field): readonly Family[] {
  return families.each((field) => field.oneOf('IPv4', 'IPv6'));
}

function readIngressIPs(ingress: Field, refused: Refusal[]): readonly string[] {
  const fields = readValid(ingress.items(), refused, (item) => {
    const mode = item.at('ipMode').optional((field) => field.oneOf('VIP', 'Proxy'), 'VIP');
    return mode === 'VIP' ? [item.at('ip')] : [];
  });
  return readAddresses(fields.flat(), refused);
}

function readPorts(list: Field, mayLackPorts: boolean): ServicePort[] {
  const fields = list.items();
  if (fields.length === 0 && !mayLackPorts) list.fail('missing; a Service needs at least one port');
  const ports = new Map(fields.map((field) => [field, readPort(field, fields.length > 1)]));
  refuseTwice(ports, 'name', (port) => port.name);
  refuseTwice(ports, 'port', (port) => `${port.port}/${port.protocol}`);
  refuseTwice(ports, 'nodePort', (port) => port.nodePort && `${port.nodePort}/${port.protocol}`);
  return [...ports.values()];
}

function readPort(port: Field, mustHaveName: boolean): ServicePort {
  const name = port.at('name');
  return {
    name: mustHaveName || !(name.isAbsent || name.string() === '') ? name.label() : '',
    protocol: port.at('protocol').optional((field) => field.oneOf('TCP', 'UDP', 'SCTP'), 'TCP'),
    port: port.at('port').port(),
    nodePort: port.at('nodePort').optional(readOptionalPort, null),
  };
}

function refuseTwice(
  ports: ReadonlyMap<Field, ServicePort>,
  member: string,
  identify: (port: ServicePort) => string | null | 0,
): void {
  const seen = new Map<string, Field>();
  for (const [field, port] of ports) {
    const value = identify(port);
    if (!value) continue;
    const earlier = seen.get(value);
    if (earlier) field.at(member).fail(`${value} is already used by ${earlier.path}`);
    seen.set(value, field);
  }
}
