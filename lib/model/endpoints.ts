import type { Endpoint, Portal } from '../portal/portal.js';
import type { Frontend } from './frontends.js';
import type { Node } from './node.js';
import type { EndpointSlice, Service, SliceEndpoint } from './objects.js';
import { inStandbyOrder } from './standby.js';

/** One address and port that a slice offers. */
interface Candidate extends SliceEndpoint {
  readonly port: number;
}

/** Where a frontend's clients go. If there are no endpoints, `unserved` tells what happens to them. */
export type ChosenEndpoints = Pick<Portal, 'endpoints' | 'unserved'>;

/**
 * The endpoints that a frontend's clients are sent to, sorted by address and port; see {@link inStandbyOrder}
 * for those of an active-standby Service.
 *
 * These are the ready endpoints that topology hints and a Local policy allow. If no endpoint is ready, these
 * are the endpoints that terminate and still serve (kube-proxy's ProxyTerminatingEndpoints), so that the last
 * pods of a rollout finish their work.
 */
export function selectEndpoints(
  service: Service,
  frontend: Frontend,
  slices: readonly EndpointSlice[],
  node: Node,
): ChosenEndpoints {
  const candidates = slices.flatMap((slice) => slicePortCandidates(slice, frontend));
  const isReady = (candidate: Candidate) => candidate.ready || service.publishNotReadyAddresses;
  const eligible = chooserFor(service, frontend)(candidates, isReady, node);
  const areElsewhere =
    eligible.length === 0 && candidates.some((candidate) => isReady(candidate) || isDraining(candidate));
  const endpoints = distinctIds(distinctPlaces(eligible).map(toEndpoint));
  return {
    endpoints: service.policy.activeStandby ? inStandbyOrder(endpoints) : endpoints,
    unserved: areElsewhere ? 'ignore' : 'refuse',
  };
}

type Readiness = (candidate: Candidate) => boolean;
type Chooser = (candidates: readonly Candidate[], isReady: Readiness, node: Node) => Candidate[];

/** All nodes must agree on the active endpoint of an active-standby Service, so hints do not count for it. */
function chooserFor({ policy }: Service, { trafficPolicy }: Frontend): Chooser {
  if (trafficPolicy === 'Local') return chooseLocal;
  return policy.activeStandby ? chooseAny : chooseNear;
}

function isDraining({ serving, terminating }: Candidate): boolean {
  return serving && terminating;
}

/** The ready endpoints. If none is ready, all endpoints that terminate and still serve. */
function chooseAny(candidates: readonly Candidate[], isReady: Readiness): Candidate[] {
  const ready = candidates.filter(isReady);
  return ready.length > 0 ? ready : candidates.filter(isDraining);
}

/** Hints count among ready endpoints only. */
function chooseNear(candidates: readonly Candidate[], isReady: Readiness, node: Node): Candidate[] {
  const chosen = chooseAny(candidates, isReady);
  return chosen.some(isReady) ? preferredByHints(chosen, node) : chosen;
}

/** Hints are not read: a Local policy already decides which endpoints are used. */
function chooseLocal(candidates: readonly Candidate[], isReady: Readiness, node: Node): Candidate[] {
  return chooseAny(
    candidates.filter(({ nodeName }) => nodeName === node.name),
    isReady,
  );
}

/**
 * The endpoints with a hint for this node. If there are none, those with a hint for its zone. If there are
 * none either, all. As in kube-proxy, a kind of hint counts only if every ready endpoint has it, because an
 * endpoint without a hint would get no traffic from any node. A Service's trafficDistribution is not read:
 * the endpoints' controller turns it into hints.
 */
function preferredByHints(ready: Candidate[], { name, zone }: Node): Candidate[] {
  const forNode = ready.filter(({ hints }) => hints?.nodes.includes(name));
  if (forNode.length > 0 && ready.every(({ hints }) => hints !== null && hints.nodes.length > 0)) {
    return forNode;
  }
  const forZone = ready.filter(({ hints }) => zone !== null && hints?.zones.includes(zone));
  if (forZone.length > 0 && ready.every(({ hints }) => hints !== null && hints.zones.length > 0)) {
    return forZone;
  }
  return ready;
}

/**
 * Each slice has its own number for the port name, because pods of one Service may listen on different ports.
 */
function slicePortCandidates(slice: EndpointSlice, frontend: Frontend): Candidate[] {
  if (slice.addressType !== frontend.family || slice.excludedBy !== null) return [];
  return slice.ports
    .filter(({ name, protocol }) => name === frontend.portName && protocol === frontend.protocol)
    .flatMap(({ port }) => slice.endpoints.map((endpoint) => ({ ...endpoint, port })));
}

/** Without duplicates: while an endpoint moves between slices, it is in both. */
function distinctPlaces(candidates: readonly Candidate[]): Candidate[] {
  const sorted = candidates.toSorted(byPlace);
  return sorted.filter((candidate, index) => {
    const before = sorted[index - 1];
    return before === undefined || candidate.address !== before.address || candidate.port !== before.port;
  });
}

/** By address and port. If both are the same, a candidate with a pod comes first. */
function byPlace(a: Candidate, b: Candidate): number {
  return (
    compare(a.address, b.address) || a.port - b.port || compare(a.target ?? '\uffff', b.target ?? '\uffff')
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function toEndpoint({ target, address, port }: Candidate): Endpoint {
  return { id: target ?? address, address, port };
}

/**
 * Makes the ids unique within a portal. If a pod has several addresses, its ids get the address as a suffix,
 * and only then the port. The address is the same on every port of the Service, so affinity works across
 * ports.
 */
function distinctIds(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const byAddress = suffixShared(endpoints, ({ address }) => `@${address}`);
  return suffixShared(byAddress, ({ port }) => `:${port}`);
}

function suffixShared(
  endpoints: readonly Endpoint[],
  suffix: (endpoint: Endpoint) => string,
): readonly Endpoint[] {
  const seen = new Map<string, string>();
  const shared = new Set<string>();
  for (const endpoint of endpoints) {
    const first = seen.get(endpoint.id);
    if (first === undefined) seen.set(endpoint.id, suffix(endpoint));
    else if (first !== suffix(endpoint)) shared.add(endpoint.id);
  }
  if (shared.size === 0) return endpoints;
  return endpoints.map((endpoint) =>
    shared.has(endpoint.id) ? { ...endpoint, id: endpoint.id + suffix(endpoint) } : endpoint,
  );
}
