import { NONE } from '../../model/compact.js';
import type { NodeState } from '../../model/node.js';
import type { EndpointSlice, Service } from '../../model/objects.js';
import type { Parsed } from '../../model/parse.js';
import { parseEndpoints } from '../../model/parse-endpoints.js';
import { parseNode } from '../../model/parse-node.js';
import { parseService } from '../../model/parse-service.js';
import { parseEndpointSlice } from '../../model/parse-slice.js';

/** One collection of the API and how its objects become those of the model. */
export interface Resource<T> {
  /** As in a Role, with the group's version in front where there is a group. */
  readonly name: string;
  readonly path: string;
  /** What the server is to leave out. */
  readonly selector: Readonly<Record<string, string>>;
  readonly parse: (raw: unknown) => Parsed<readonly T[]>;
}

/** kube-proxy's own selector: what others proxy, and what has no virtual IP, never leaves the server. */
const PROXIED = {
  labelSelector: '!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless',
};

export const SERVICES: readonly Resource<Service>[] = [
  { name: 'services', path: '/api/v1/services', selector: PROXIED, parse: single(parseService) },
];

/** In the order of preference; a server that does not know one of them (404) is asked for the next. */
export const SLICES: readonly Resource<EndpointSlice>[] = [
  {
    name: 'discovery.k8s.io/v1 endpointslices',
    path: '/apis/discovery.k8s.io/v1/endpointslices',
    selector: PROXIED,
    parse: single(parseEndpointSlice),
  },
  {
    name: 'discovery.k8s.io/v1beta1 endpointslices',
    path: '/apis/discovery.k8s.io/v1beta1/endpointslices',
    selector: PROXIED,
    parse: single((raw) => parseEndpointSlice(withPlaces(raw))),
  },
  { name: 'endpoints', path: '/api/v1/endpoints', selector: PROXIED, parse: parseEndpoints },
];

/** Only the Node of that name. */
export function nodeResource(nodeName: string): readonly Resource<NodeState>[] {
  const selector = { fieldSelector: `metadata.name=${nodeName}` };
  return [{ name: 'nodes', path: '/api/v1/nodes', selector, parse: single(parseNode) }];
}

/** What is null has no meaning here. */
function single<T>(parse: (raw: unknown) => Parsed<T | null>): (raw: unknown) => Parsed<readonly T[]> {
  return (raw) => {
    const parsed = parse(raw);
    if (!parsed.ok) return parsed;
    return { ...parsed, value: parsed.value === null ? NONE : [parsed.value] };
  };
}

/**
 * v1beta1 says in `topology` what v1 says in `nodeName` and `zone`; all else that is read here is the same.
 */
function withPlaces(raw: unknown): unknown {
  const slice = raw as { readonly endpoints?: unknown };
  if (!Array.isArray(slice?.endpoints)) return raw;
  return { ...slice, endpoints: slice.endpoints.map(withPlace) };
}

function withPlace(endpoint: unknown): unknown {
  const topology = (endpoint as { topology?: Readonly<Record<string, unknown>> } | null)?.topology;
  if (!topology) return endpoint;
  return {
    nodeName: topology['kubernetes.io/hostname'],
    zone: topology['topology.kubernetes.io/zone'],
    ...(endpoint as object),
  };
}
