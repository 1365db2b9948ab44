import { changesBetween } from './changes.js';
import { type Claims, nodePortClaim, vipClaim } from './claims.js';
import { NONE } from './compact.js';
import type { Node } from './node.js';
import { type EndpointSlice, objectKey, type Service, type SlicePort } from './objects.js';
import type { Problem } from './problem.js';
import type { SliceGroups } from './slicegroups.js';

type Queues = Claims['queues'];

/** An endpoint of a slice that is a VIP or a node port of a Service. */
interface Circle {
  readonly address: string;
  readonly port: SlicePort;
  /** The Service that has the VIP or the node port. */
  readonly owner: Service;
}

/** Slices without circles, and a problem for each slice that had one. */
interface CheckedSlices {
  readonly slices: readonly EndpointSlice[];
  readonly problems: readonly Problem[];
}

/**
 * Leaves out the endpoints that are a VIP or a NodePort of a Service. With such an endpoint the proxy
 * connects to itself, and if that Service leads back to the first one, it does so without end. Kubernetes
 * forbids ClusterIPs as endpoints, and with kube-proxy such clients get no connection. The node's own
 * addresses with other ports stay, because pods of the host network use them.
 */
export function leaveOutCircles(
  service: Service,
  slices: readonly EndpointSlice[],
  { queues }: Claims,
  node: Node,
): CheckedSlices {
  const problems: Problem[] = [];
  const withoutCircles = slices.flatMap((slice) => {
    const circles = findCircles(slice, queues, node);
    const [first, ...others] = circles;
    if (first === undefined) return slice;
    problems.push(circleProblem(service, slice, first, others.length));
    return slice.ports.map((port) => ({
      ...slice,
      ports: [port],
      endpoints: slice.endpoints.filter(({ address }) => ownerOf(address, port, queues, node) === undefined),
    }));
  });
  return problems.length === 0 ? { slices, problems: NONE } : { slices: withoutCircles, problems };
}

/**
 * Keys of the Services that may gain or lose a circle. They have an endpoint at the address of a VIP or a
 * node port that was claimed or released between the two states.
 */
export function servicesAtChangedClaims(
  before: Queues,
  after: Queues,
  groups: SliceGroups,
  node: Node,
): string[] {
  const queues = changesBetween(before, after).flatMap((change) => [
    change.before ?? NONE,
    change.after ?? NONE,
  ]);
  if (queues.length === 0) return [];
  const addresses = new Set([...queues.flat().flatMap(addressesOf), ...node.nodePortAddresses]);
  const hasAddress = ({ endpoints }: EndpointSlice) =>
    endpoints.some(({ address }) => addresses.has(address));
  return [...groups].filter(([, slices]) => slices.some(hasAddress)).map(([service]) => service);
}

function addressesOf({ clusterIPs, externalIPs, ingressIPs }: Service): string[] {
  return [...clusterIPs, ...externalIPs, ...ingressIPs];
}

function findCircles(slice: EndpointSlice, queues: Queues, node: Node): Circle[] {
  const circles: Circle[] = [];
  for (const port of slice.ports) {
    for (const { address } of slice.endpoints) {
      const owner = ownerOf(address, port, queues, node);
      if (owner !== undefined) circles.push({ address, port, owner });
    }
  }
  return circles;
}

/** The Service whose clients connect to this address and port. */
function ownerOf(
  address: string,
  { port, protocol }: SlicePort,
  queues: Queues,
  node: Node,
): Service | undefined {
  const queue = queues.get(vipClaim(address, port, protocol));
  if (queue !== undefined || !node.nodePortAddresses.includes(address)) return queue?.[0];
  return queues.get(nodePortClaim(port, protocol))?.[0];
}

/**
 * One problem for each slice, even if the slice has many circles, so that users who may write slices cannot
 * fill the log.
 */
function circleProblem(
  service: Service,
  slice: EndpointSlice,
  { address, port, owner }: Circle,
  others: number,
): Problem {
  const place = vipClaim(address, port.port, port.protocol);
  const more = others === 0 ? '' : `, and ${others} more like it,`;
  const reason =
    owner === service
      ? 'this Service itself is reached at this address'
      : `Service ${objectKey(owner)} is reached at this address`;
  return {
    object: `Service ${objectKey(service)}`,
    message: `endpoint ${place} of EndpointSlice ${objectKey(slice)}${more} is not used: ${reason}, so clients would go round in a circle; list the addresses of the pods instead`,
  };
}
