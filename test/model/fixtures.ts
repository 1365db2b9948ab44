import { buildDesiredState, type DesiredState } from '../../lib/model/desiredstate.js';
import type { Node } from '../../lib/model/node.js';
import type { EndpointSlice, ObjectSet, Service } from '../../lib/model/objects.js';
import { objectKey } from '../../lib/model/objects.js';
import type { Parsed } from '../../lib/model/parse.js';
import { parseService } from '../../lib/model/parse-service.js';
import { parseEndpointSlice } from '../../lib/model/parse-slice.js';

type Json = Readonly<Record<string, unknown>>;

/**
 * A raw Service `default/web` with one port 80; `spec` and `metadata` replace members of the default ones.
 */
export function rawService(spec: Json = {}, metadata: Json = {}, rest: Json = {}): Json {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', ...metadata },
    spec: { clusterIP: '10.96.0.10', ports: [{ port: 80 }], ...spec },
    ...rest,
  };
}

/** A raw slice of `default/web` with port 8080 and the given endpoints. */
export function rawSlice(endpoints: readonly Json[], over: Json = {}, metadata: Json = {}): Json {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' }, ...metadata },
    addressType: 'IPv4',
    ports: [{ port: 8080 }],
    endpoints,
    ...over,
  };
}

export function unwrap<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problem));
  return parsed.value;
}

export function service(...raw: Parameters<typeof rawService>): Service {
  return unwrap(parseService(rawService(...raw)));
}

export function slice(...raw: Parameters<typeof rawSlice>): EndpointSlice {
  return unwrap(parseEndpointSlice(rawSlice(...raw)))!;
}

export function objectSet(services: readonly Service[], slices: readonly EndpointSlice[] = []): ObjectSet {
  return {
    services: new Map(services.map((one) => [objectKey(one), one])),
    slices: new Map(slices.map((one) => [objectKey(one), one])),
  };
}

/** The node of the tests, if a test does not give another one. */
export const NODE: Node = {
  name: 'node-1',
  zone: 'zone-a',
  podCidrs: ['10.1.0.0/16', 'fd00:1::/32'],
  nodePortAddresses: ['10.2.0.1', 'fd00:2::1'],
};

/** {@link buildDesiredState} on {@link NODE}. */
export function buildHere(objects: ObjectSet, previous?: DesiredState): DesiredState {
  return buildDesiredState(objects, NODE, previous);
}
