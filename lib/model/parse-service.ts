import { compact, NONE } from './compact.js';
import type { Field } from './field.js';
import type { Service, ServicePort, ServiceType, TrafficPolicy } from './objects.js';
import { type Parsed, parseObject } from './parse.js';
import type { Family } from './portal.js';

/** Default of `sessionAffinityConfig.clientIP.timeoutSeconds` in the API. */
const DEFAULT_AFFINITY_SECONDS = 10800;
const MAX_AFFINITY_SECONDS = 86400;

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
    const withoutPorts = headless || type === 'ExternalName';
    return {
      ...meta,
      type,
      headless,
      clusterIPs: headless ? NONE : compact(allocated.map((field) => field.address())),
      ipFamilies: readFamilies(spec.at('ipFamilies')),
      externalIPs: spec.at('externalIPs').each((field) => field.address()),
      ingressIPs: readIngressIPs(object.at('status').at('loadBalancer').at('ingress')),
      ports: readPorts(spec.at('ports'), withoutPorts),
      affinityTimeoutSeconds: readAffinity(spec),
      publishNotReadyAddresses: spec
        .at('publishNotReadyAddresses')
        .optional((field) => field.boolean(), false),
      internalTrafficPolicy: readPolicy(spec.at('internalTrafficPolicy')),
      externalTrafficPolicy: readPolicy(spec.at('externalTrafficPolicy')),
      loadBalancerSourceRanges: readSourceRanges(spec, type),
      healthCheckNodePort: spec.at('healthCheckNodePort').optional(readOptionalPort, null),
    };
  });
}

/** An empty string is what older API servers and clients write for "not set". */
function readPolicy(policy: Field): TrafficPolicy {
  const read = (field: Field) => (field.string() === '' ? 'Cluster' : field.oneOf('Cluster', 'Local'));
  return policy.optional(read, 'Cluster');
}

/** The API lets only load balancers have them; what another type has kept means nothing. */
function readSourceRanges(spec: Field, type: ServiceType): readonly string[] {
  if (type !== 'LoadBalancer') return NONE;
  return spec.at('loadBalancerSourceRanges').each((field) => field.cidr());
}

/** 0 stands for "none" in the API. */
function readOptionalPort(field: Field): number | null {
  return field.integer(0, 65535, 'a port') || null;
}

function clusterIPFields(spec: Field): readonly Field[] {
  const both = spec.at('clusterIPs').items();
  const fields = both.length > 0 ? both : [spec.at('clusterIP')];
  return fields.filter((field) => !field.absent && field.string() !== '');
}

function readFamilies(families: Field): readonly Family[] {
  return families.each((field) => field.oneOf('IPv4', 'IPv6'));
}

function readIngressIPs(ingress: Field): readonly string[] {
  const ips = ingress
    .items()
    .filter((item) => item.at('ipMode').optional((field) => field.oneOf('VIP', 'Proxy'), 'VIP') === 'VIP')
    .map((item) => item.at('ip'))
    .filter((ip) => !ip.absent && ip.string() !== '')
    .map((ip) => ip.address());
  return compact(ips);
}

function readAffinity(spec: Field): number | null {
  const kind = spec.at('sessionAffinity').optional((field) => field.oneOf('None', 'ClientIP'), 'None');
  if (kind === 'None') return null;
  return spec
    .at('sessionAffinityConfig')
    .at('clientIP')
    .at('timeoutSeconds')
    .optional(
      (field) => field.integer(1, MAX_AFFINITY_SECONDS, 'a number of seconds'),
      DEFAULT_AFFINITY_SECONDS,
    );
}

function readPorts(list: Field, mayBeEmpty: boolean): ServicePort[] {
  const fields = list.items();
  if (fields.length === 0 && !mayBeEmpty) list.fail('missing; a Service needs at least one port');
  const ports = fields.map((field) => readPort(field, fields.length > 1));
  refuseTwice(fields, ports, 'name', (port) => port.name);
  refuseTwice(fields, ports, 'port', (port) => `${port.port}/${port.protocol}`);
  refuseTwice(fields, ports, 'nodePort', (port) => port.nodePort && `${port.nodePort}/${port.protocol}`);
  return ports;
}

function readPort(port: Field, named: boolean): ServicePort {
  const name = port.at('name');
  return {
    name: named || !(name.absent || name.string() === '') ? name.label() : '',
    protocol: port.at('protocol').optional((field) => field.oneOf('TCP', 'UDP', 'SCTP'), 'TCP'),
    port: port.at('port').port(),
    nodePort: port.at('nodePort').optional(readOptionalPort, null),
  };
}

function refuseTwice(
  fields: readonly Field[],
  ports: readonly ServicePort[],
  member: string,
  identify: (port: ServicePort) => string | null | 0,
): void {
  const seen = new Map<string, Field>();
  for (const [index, port] of ports.entries()) {
    const value = identify(port);
    if (!value) continue;
    const earlier = seen.get(value);
    if (earlier) fields[index]!.at(member).fail(`${value} is already used by ${earlier.path}`);
    seen.set(value, fields[index]!);
  }
}
