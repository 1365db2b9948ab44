import { NONE } from '../../model/compact.js';
import type { NodeState } from '../../model/node.js';
import type { EndpointSlice, Service } from '../../model/objects.js';
import type { Parsed } from '../../model/parse.js';
import { parseEndpoints } from '../../model/parse-endpoints.js';
import { parseNode } from '../../model/parse-node.js';
import { parseService } from '../../model/parse-service.js';
import { parseEndpointSlice } from '../../model/parse-slice.js';

/** One collection of the API, and the parser of its objects. */
export interface Resource<T> {
  /** The name in a Role. If it has an API group, the group and its version come first. */
  readonly name: string;
  readonly path: string;
  /** Parameters that limit what the server sends. */
  readonly selector: Readonly<Record<string, string>>;
  readonly parse: (raw: unknown) => Parsed<readonly T[]>;
}

/** As in kube-proxy. The server sends no objects that another proxy serves, and none without a virtual IP. */
const PROXIED_ONLY = {
  labelSelector: '!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless',
};

export const SERVICES: readonly Resource<Service>[] = [
  { name: 'services', path: '/api/v1/services', selector: PROXIED_ONLY, parse: single(parseService) },
];

/** The preferred one comes first. If the server does not have it (404), the next is tried. */
export const SLICES: readonly Resource<EndpointSlice>[] = [
  {
    name: 'discovery.k8s.io/v1 endpointslices',
    path: '/apis/discovery.k8s.io/v1/endpointslices',
    selector: PROXIED_ONLY,
    parse: single(parseEndpointSlice),
  },
  {
    name: 'discovery.k8s.io/v1beta1 endpointslices',
    path: '/apis/discovery.k8s.io/v1beta1/endpointslices',
    selector: PROXIED_ONLY,
    parse: single((raw) => parseEndpointSlice(withV1Fields(raw))),
  },
  { name: 'endpoints', path: '/api/v1/endpoints', selector: PROXIED_ONLY, parse: parseEndpoints },
];

/** The collection with only the Node of this name. */
export function nodeResource(nodeName: string): readonly Resource<NodeState>[] {
  const selector = { fieldSelector: `metadata.name=${nodeName}` };
  return [{ name: 'nodes', path: '/api/v1/nodes', selector, parse: single(parseNode) }];
}

/** For a parser with one result. Null: the object is not for this program. */
function single<T>(parse: (raw: unknown) => Parsed<T | null>): (raw: unknown) => Parsed<readonly T[]> {
  return (raw) => {
    const parsed = parse(raw);
    if (!parsed.ok) return parsed;
    return { ...parsed, value: parsed.value === null ? NONE : [parsed.value] };
  };
}

/**
 * v1beta1 has node and zone in `topology`, v1 in `nodeName` and `zone`. The other fields here are the same.
 */
function withV1Fields(raw: unknown): unknown {
  const slice = raw as { readonly endpoints?: unknown };
  if (!Array.isArray(slice?.endpoints)) return raw;
  return { ...slice, endpoints: slice.endpoints.map(withV1Topology) };
}

function withV1Topology(endpoint: unknown): unknown {
  const topology = (endpoint as { topology?: Readonly<Record<string, unknown>> } | null)?.topology;
  if (!topology) return endpoint;
  return {
    nodeName: topology['kubernetes.io/hostname'],
    zone: topology['topology.kubernetes.io/zone'],
    ...(endpoint as object),
  };
}
