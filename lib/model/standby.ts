import type { Endpoint } from '../portal/portal.js';

/**
 * The order in which endpoints are the active one: by the pod's name, shorter names first, so `broker-2`
 * comes before `broker-10`. It needs nothing that only one node knows, so all nodes agree on it. A pod of a
 * StatefulSet that comes back has its old name, and so its old place. EndpointSlices do not tell which pod is
 * older.
 */
export function inStandbyOrder(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  return endpoints.toSorted((a, b) => a.id.length - b.id.length || (a.id < b.id ? -1 : 1));
}
