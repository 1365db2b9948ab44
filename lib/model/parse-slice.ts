import { familyOf } from '../net/address.js';
import type { Field } from './field.js';
import {
  type EndpointSlice,
  objectKey,
  type SliceEndpoint,
  type SlicePort,
  type TopologyHints,
} from './objects.js';
import { type Parsed, parseObject } from './parse.js';

/** The label of a slice with the name of its Service. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

/** The annotation with the time of the change that led to this version of an object. */
const TRIGGER_TIME_ANNOTATION = 'endpoints.kubernetes.io/last-change-trigger-time';

/**
 * Reads a discovery.k8s.io/v1 EndpointSlice as the API server or a manifest gives it. Null for a slice
 * without a Service. That is legal: other programs use slices for their own purposes.
 */
export function parseEndpointSlice(raw: unknown): Parsed<EndpointSlice | null> {
  return parseObject('EndpointSlice', raw, (object, meta) => {
    const serviceName = object.at('metadata').at('labels').at(SERVICE_NAME_LABEL);
    if (serviceName.isBlank) return null;
    const addressType = object.at('addressType').oneOf('IPv4', 'IPv6', 'FQDN');
    return {
      ...meta,
      service: objectKey({ ...meta, name: serviceName.label() }),
      addressType,
      ports: readSlicePorts(object.at('ports')),
      endpoints: object
        .at('endpoints')
        .each((endpoint) => readEndpoint(endpoint, addressType, meta.namespace)),
      triggeredMs: readTriggerTime(object),
    };
  });
}

/**
 * In the API, a port without a number means "all ports". A Service port cannot use it, and it is left out, as
 * in kube-proxy.
 */
export function readSlicePorts(ports: Field): SlicePort[] {
  return ports
    .items()
    .filter((port) => !port.at('port').isAbsent)
    .map((port) => ({
      name: port.at('name').optional((field) => field.string(), ''),
      protocol: port.at('protocol').optional((field) => field.oneOf('TCP', 'UDP', 'SCTP'), 'TCP'),
      port: port.at('port').port(),
    }));
}

/** `namespace/name` of an object reference. */
export function readTarget(reference: Field, namespace: string): string | null {
  const name = reference.at('name').optional((field) => field.string(), '');
  if (name === '') return null;
  return objectKey({
    namespace: reference.at('namespace').optional((field) => field.string(), namespace),
    name,
  });
}

/** Null if the object has no such time, or an invalid one: the time is for statistics only. */
export function readTriggerTime(object: Field): number | null {
  const annotation = object.at('metadata').at('annotations').at(TRIGGER_TIME_ANNOTATION);
  const time = Date.parse(annotation.optional((field) => field.string(), ''));
  return Number.isNaN(time) ? null : time;
}

function readEndpoint(
  endpoint: Field,
  addressType: EndpointSlice['addressType'],
  namespace: string,
): SliceEndpoint {
  const conditions = endpoint.at('conditions');
  const condition = (name: string, fallback: boolean) =>
    conditions.at(name).optional((field) => field.boolean(), fallback);
  return {
    address: readAddress(endpoint.at('addresses'), addressType),
    ready: condition('ready', true),
    serving: condition('serving', true),
    terminating: condition('terminating', false),
    target: readTarget(endpoint.at('targetRef'), namespace),
    nodeName: endpoint.at('nodeName').optional((field) => field.string(), '') || null,
    hints: readHints(endpoint.at('hints')),
  };
}

function readHints(hints: Field): TopologyHints | null {
  const names = (member: string) =>
    hints
      .at(member)
      .items()
      .map((item) => item.at('name').string());
  const [zones, nodes] = [names('forZones'), names('forNodes')];
  return zones.length === 0 && nodes.length === 0 ? null : { zones, nodes };
}

/** All addresses of an endpoint lead to the same pod. As in kube-proxy, the first one is used. */
function readAddress(addresses: Field, addressType: EndpointSlice['addressType']): string {
  const first = addresses.items()[0] ?? addresses.fail('missing; an endpoint needs an address');
  if (addressType === 'FQDN') return first.string();
  const address = first.address();
  if (familyOf(address) !== addressType)
    first.fail(`${address} is not ${addressType}, the slice's addressType`);
  return address;
}
