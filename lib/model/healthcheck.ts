import { isDeepStrictEqual } from 'node:util';
import { FAMILIES, type Family } from '../net/address.js';
import type { Node } from './node.js';
import type { EndpointSlice, Service } from './objects.js';

/** A port where load balancers ask whether a Service has endpoints on this node. */
export interface HealthCheck {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly localEndpoints: number;
}

/**
 * The health check of a load balancer with externalTrafficPolicy Local. Null for all other Services.
 *
 * @param before the earlier health check of the Service; the result is this object if nothing changed
 */
export function serviceHealthCheck(
  service: Service,
  slices: readonly EndpointSlice[],
  node: Node,
  before: HealthCheck | null,
): HealthCheck | null {
  const { type, externalTrafficPolicy, healthCheckNodePort: port, namespace, name } = service;
  const isWanted =
    type === 'LoadBalancer' && externalTrafficPolicy === 'Local' && service.excludedBy === null;
  if (!isWanted || port === null) return null;
  const check = { namespace, name, port, localEndpoints: countLocal(service, slices, node) };
  return isDeepStrictEqual(before, check) ? before : check;
}

/**
 * The number of ready pods on this node. As in kube-proxy, a pod that terminates does not count, even if it
 * still serves because no other pod is ready: new clients should go to other nodes. A dual-stack pod counts
 * once.
 */
function countLocal(service: Service, slices: readonly EndpointSlice[], node: Node): number {
  const countOf = (family: Family) =>
    new Set(
      slices
        .filter(({ addressType, excludedBy }) => addressType === family && excludedBy === null)
        .flatMap(({ endpoints }) => endpoints)
        .filter(
          ({ nodeName, ready }) => nodeName === node.name && (ready || service.publishNotReadyAddresses),
        )
        .map(({ address }) => address),
    ).size;
  return Math.max(...FAMILIES.map(countOf));
}
