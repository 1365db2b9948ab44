import type { EndpointSlice, Service, SliceEndpoint } from './objects.js';
import type { Endpoint } from './portal.js';
import type { Front } from './ports.js';

/** One address and port that a slice offers. */
interface Candidate extends SliceEndpoint {
  readonly port: number;
}

/**
 * The endpoints that a portal's clients are sent to, sorted by address and port.
 *
 * Ready ones; where there is none, those that still serve while they terminate (kube-proxy's
 * ProxyTerminatingEndpoints), so that the last pods of a rollout finish their work.
 */
export function selectEndpoints(
  service: Service,
  front: Front,
  slices: readonly EndpointSlice[],
): readonly Endpoint[] {
  const candidates = slices.flatMap((slice) => slicePortCandidates(slice, front));
  const ready = candidates.filter(({ ready }) => ready || service.publishNotReadyAddresses);
  const eligible = ready.length > 0 ? ready : candidates.filter((one) => one.serving && one.terminating);
  return distinctIds(distinctPlaces(eligible).map(toEndpoint));
}

/** A slice has its own number for a port name: pods of one Service may listen on different ports. */
function slicePortCandidates(slice: EndpointSlice, front: Front): Candidate[] {
  if (slice.addressType !== front.family || slice.excludedBy !== null) return [];
  return slice.ports
    .filter(({ name, protocol }) => name === front.portName && protocol === front.protocol)
    .flatMap(({ port }) => slice.endpoints.map((endpoint) => ({ ...endpoint, port })));
}

/** While endpoints move between slices, they stand in both. */
function distinctPlaces(candidates: readonly Candidate[]): Candidate[] {
  const sorted = candidates.toSorted(byPlace);
  return sorted.filter((one, index) => {
    const before = sorted[index - 1];
    return before === undefined || one.address !== before.address || one.port !== before.port;
  });
}

/** By address and port; of the same place, the one that knows its pod comes first. */
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
 * Ids are unique within a portal. One pod at several addresses is told apart by address first: that suffix is the same
 * on every port of the Service, so that affinity over ports keeps working.
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
  return endpoints.map((one) => (shared.has(one.id) ? { ...one, id: one.id + suffix(one) } : one));
}
