import { changesBetween } from './changes.js';
import { type Claims, nodePortClaim, vipClaim } from './claims.js';
import { NONE } from './compact.js';
import type { Node } from './node.js';
import { type EndpointSlice, objectKey, type Service, type SlicePort } from './objects.js';
import type { Problem } from './problem.js';
import type { SliceGroups } from './slicegroups.js';

type Queues = Claims['queues'];

/** A place that a slice sends clients to, though it is one where clients come in. */
interface Circle {
  readonly address: string;
  readonly port: SlicePort;
  /** The Service whose VIP or node port it is. */
  readonly owner: Service;
}

/** Slices without circles, and what was left out of them. */
interface CheckedSlices {
  readonly slices: readonly EndpointSlice[];
  readonly problems: readonly Problem[];
}

/**
 * Leaves out the endpoints that are a VIP or a NodePort of a Service. The proxy would connect to itself, and
 * without an end if that Service leads back here. Kubernetes forbids ClusterIPs as endpoints; with kube-proxy
 * such clients reach nobody. The node's own addresses with other ports stay: pods of the host network are
 * there.
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
 * Keys of the Services with endpoints at an address of something that was claimed or given up between two
 * states.
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

/** The Service whose clients come to this place. */
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

/** One for a slice, however many there are: who may write slices must not fill the log. */
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
      ? 'is where this Service itself is reached'
      : `is where Service ${objectKey(owner)} is reached`;
  return {
    object: `Service ${objectKey(service)}`,
    message: `endpoint ${place} of EndpointSlice ${objectKey(slice)}${more} is not used: it ${reason}, so clients would go round in a circle; put the addresses of the pods there`,
  };
}
