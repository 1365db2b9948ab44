import { FAMILIES, familyOf } from '../net/address.js';
import type { Field } from './field.js';
import { type EndpointSlice, type ObjectMeta, objectKey, type SliceEndpoint } from './objects.js';
import { type Parsed, parseObject } from './parse.js';
import { readSlicePorts, readTarget, readTriggerTime } from './parse-slice.js';

/**
 * Reads a v1 Endpoints object as slices, one for each subset and family, so that the model has to know slices
 * only. Their names contain a '/', so they differ from the name of every real slice.
 */
export function parseEndpoints(raw: unknown): Parsed<readonly EndpointSlice[]> {
  return parseObject('Endpoints', raw, (object, meta) => {
    object.at('metadata').at('name').label();
    return object
      .at('subsets')
      .items()
      .flatMap((subset, index) => subsetSlices(subset, index, meta, readTriggerTime(object)));
  });
}

function subsetSlices(
  subset: Field,
  index: number,
  meta: ObjectMeta,
  triggeredMs: number | null,
): EndpointSlice[] {
  const ports = readSlicePorts(subset.at('ports'));
  const endpoints = [
    ...readAddresses(subset.at('addresses'), true, meta.namespace),
    ...readAddresses(subset.at('notReadyAddresses'), false, meta.namespace),
  ];
  return FAMILIES.map((family) => ({
    ...meta,
    name: `${meta.name}/${index}/${family}`,
    service: objectKey(meta),
    addressType: family,
    ports,
    endpoints: endpoints.filter(({ address }) => familyOf(address) === family),
    triggeredMs,
  })).filter((slice) => slice.endpoints.length > 0);
}

function readAddresses(addresses: Field, ready: boolean, namespace: string): SliceEndpoint[] {
  return addresses.items().map((item) => ({
    address: item.at('ip').address(),
    ready,
    serving: ready,
    terminating: false,
    target: readTarget(item.at('targetRef'), namespace),
    nodeName: item.at('nodeName').optional((field) => field.string(), '') || null,
    hints: null,
  }));
}
