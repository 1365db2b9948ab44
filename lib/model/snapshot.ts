import { isDeepStrictEqual } from 'node:util';
import {
  assignClaims,
  type Claimant,
  claimProblems,
  claimsOf,
  keptFronts,
  lostClaims,
  type Owners,
} from './claims.js';
import { selectEndpoints } from './endpoints.js';
import { type EndpointSlice, type ObjectSet, objectKey, type Service } from './objects.js';
import type { Portal, Snapshot } from './portal.js';
import { serviceFronts } from './ports.js';
import type { Problem } from './problem.js';

/** The desired state, and what is needed to make the next one from it quickly. */
export interface Build {
  readonly snapshot: Snapshot;
  readonly problems: readonly Problem[];
  /** By `namespace/name` of the Service. */
  readonly parts: ReadonlyMap<string, Part>;
}

/** What one Service came to, and from what. */
interface Part {
  readonly claimant: Claimant;
  readonly slices: readonly EndpointSlice[];
  readonly lost: ReadonlyMap<string, Service>;
  readonly portals: readonly Portal[];
  readonly problems: readonly Problem[];
}

const NO_SLICES: readonly EndpointSlice[] = [];

/**
 * Turns objects into portals. Pure: the same objects give an equal result with any `previous` or none.
 *
 * `previous` makes it quick and stable: Services whose objects are the same (`===`) are not looked at again, and a
 * portal that comes out equal is the same object as before.
 */
export function buildSnapshot(objects: ObjectSet, previous?: Build): Build {
  const slices = slicesByService(objects);
  const claimants = makeClaimants(objects, previous);
  const owners = assignClaims(claimants.values());
  const parts = new Map<string, Part>();
  for (const [key, claimant] of claimants) {
    parts.set(key, makePart(claimant, slices.get(key) ?? NO_SLICES, owners, previous?.parts.get(key)));
  }
  return { parts, ...collect(parts, previous) };
}

function slicesByService({ slices }: ObjectSet): Map<string, EndpointSlice[]> {
  const groups = new Map<string, EndpointSlice[]>();
  for (const slice of slices.values()) {
    const key = `${slice.namespace}/${slice.serviceName}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [slice]);
    else group.push(slice);
  }
  return groups;
}

function makeClaimants({ services }: ObjectSet, previous: Build | undefined): Map<string, Claimant> {
  const claimants = new Map<string, Claimant>();
  for (const [key, service] of services) {
    const known = previous?.parts.get(key)?.claimant;
    claimants.set(key, known?.service === service ? known : makeClaimant(service));
  }
  return claimants;
}

function makeClaimant(service: Service): Claimant {
  const { fronts, problems } = serviceFronts(service);
  return { service, fronts, problems, claims: claimsOf(fronts) };
}

function makePart(
  claimant: Claimant,
  slices: readonly EndpointSlice[],
  owners: Owners,
  before: Part | undefined,
): Part {
  const lost = lostClaims(claimant, owners);
  if (
    before &&
    before.claimant === claimant &&
    sameSlices(before.slices, slices) &&
    sameLoss(before.lost, lost)
  ) {
    return before;
  }
  const { service, fronts } = claimant;
  const portals = keptFronts(fronts, lost).map((front) => {
    const portal: Portal = { ...front, endpoints: selectEndpoints(service, front, slices) };
    return before?.portals.find((known) => isDeepStrictEqual(known, portal)) ?? portal;
  });
  const problems = [
    ...claimant.problems,
    ...claimProblems(service, lost),
    ...(fronts.length > 0 ? nameProblems(slices) : []),
  ];
  return { claimant, slices, lost, portals, problems };
}

function sameSlices(a: readonly EndpointSlice[], b: readonly EndpointSlice[]): boolean {
  return a.length === b.length && a.every((slice, index) => slice === b[index]);
}

function sameLoss(a: ReadonlyMap<string, Service>, b: ReadonlyMap<string, Service>): boolean {
  if (a.size !== b.size) return false;
  for (const [claim, owner] of a) if (b.get(claim) !== owner) return false;
  return true;
}

function nameProblems(slices: readonly EndpointSlice[]): Problem[] {
  return slices
    .filter(({ addressType }) => addressType === 'FQDN')
    .map((slice) => ({
      object: `EndpointSlice ${objectKey(slice)}`,
      field: 'addressType',
      message: 'FQDN endpoints are not proxied; give IPv4 or IPv6 addresses',
    }));
}

/** Keeps the previous snapshot itself where no portal changed. */
function collect(
  parts: ReadonlyMap<string, Part>,
  previous: Build | undefined,
): Pick<Build, 'snapshot' | 'problems'> {
  const snapshot = new Map<string, Portal>();
  const problems: Problem[] = [];
  let same = true;
  for (const part of parts.values()) {
    for (const problem of part.problems) problems.push(problem);
    for (const portal of part.portals) {
      snapshot.set(portal.key, portal);
      same &&= previous?.snapshot.get(portal.key) === portal;
    }
  }
  const unchanged = previous !== undefined && same && previous.snapshot.size === snapshot.size;
  return { snapshot: unchanged ? previous.snapshot : snapshot, problems };
}
