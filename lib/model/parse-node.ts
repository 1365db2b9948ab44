import { canonicalAddress, familyOf } from '../net/address.js';
import type { Field } from './field.js';
import type { NodeState } from './node.js';
import { type Parsed, parseObject } from './parse.js';

const ZONE_LABEL = 'topology.kubernetes.io/zone';
/** The cluster autoscaler sets it on a node that it is about to remove. */
const DELETION_TAINT = 'ToBeDeletedByClusterAutoscaler';

/** Reads a v1 Node as the API server gives it. */
export function parseNode(raw: unknown): Parsed<NodeState> {
  return parseObject('Node', raw, (object, meta) => {
    const spec = object.at('spec');
    return {
      ...meta,
      zone:
        object
          .at('metadata')
          .at('labels')
          .at(ZONE_LABEL)
          .optional((field) => field.string(), '') || null,
      podCidrs: readPodCidrs(spec),
      addresses: readAddresses(object.at('status')),
      isEligible: object.at('metadata').at('deletionTimestamp').isAbsent && !hasDeletionTaint(spec),
    };
  });
}

/** Internal addresses come before external ones. Host names, which the list has too, are left out. */
function readAddresses(status: Field): string[] {
  const listed = status.at('addresses').items();
  const ofType = (type: string) =>
    listed
      .filter((field) => field.at('type').string() === type)
      .flatMap((field) => canonicalAddress(field.at('address').string()) ?? []);
  const all = [...ofType('InternalIP'), ...ofType('ExternalIP')];
  return all.filter((address, i) => all.findIndex((other) => familyOf(other) === familyOf(address)) === i);
}

/**
 * If `podCIDRs` is missing, `podCIDR` is read. Address allocators other than the cluster's own set neither of
 * them.
 */
function readPodCidrs(spec: Field): string[] {
  const plural = spec.at('podCIDRs').items();
  const fields = plural.length > 0 ? plural : [spec.at('podCIDR')];
  return fields.filter((field) => !field.isBlank).map((field) => field.cidr());
}

function hasDeletionTaint(spec: Field): boolean {
  return spec
    .at('taints')
    .items()
    .some((taint) => taint.at('key').optional((field) => field.string(), '') === DELETION_TAINT);
}
