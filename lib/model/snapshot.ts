import { isDeepStrictEqual } from 'node:util';
import { type Change, changesBetween } from './changes.js';
import { leaveOutCircles, servicesAtChangedClaims } from './circles.js';
import { type Claimed, type Claims, NO_CLAIMS, settleClaims } from './claims.js';
import { compact } from './compact.js';
import { type Choice, selectEndpoints } from './endpoints.js';
import { type HealthCheck, serviceHealthCheck } from './healthcheck.js';
import { mismatchProblems } from './mismatches.js';
import { type Node, sameNode } from './node.js';
import { type EndpointSlice, type ObjectSet, objectKey } from './objects.js';
import type { Portal } from './portal.js';
import type { Front } from './ports.js';
import type { Problem } from './problem.js';
import { type Replacements, SharedMap } from './sharedmap.js';
import { regroup, type SliceGroups } from './slicegroups.js';

/** The desired state, and what is needed to make the next one from it quickly. */
export interface Build {
  readonly snapshot: SharedMap<Portal>;
  readonly problems: readonly Problem[];
  /** What load balancers may ask for; the same array (`===`) as before where nothing changed. */
  readonly healthChecks: readonly HealthCheck[];
  readonly objects: ObjectSet;
  readonly node: Node;
  readonly claims: Claims;
  /** The next two by `namespace/name` of the Service. */
  readonly groups: SliceGroups;
  readonly parts: Parts;
}

/** What one Service came to. */
interface Part {
  readonly claimed: Claimed;
  readonly portals: readonly Portal[];
  readonly problems: readonly Problem[];
  readonly healthCheck: HealthCheck | null;
}

function nothing(node: Node): Build {
  return {
    snapshot: SharedMap.empty(),
    problems: [],
    healthChecks: [],
    objects: { services: new Map(), slices: new Map() },
    node,
    claims: NO_CLAIMS,
    groups: SharedMap.empty(),
    parts: SharedMap.empty(),
  };
}

/**
 * Turns objects into portals, as one node serves them. Pure: the same objects give an equal result with any `previous` or none.
 *
 * `previous` makes it quick and stable: Services whose objects are the same (`===`) are not looked at again, and a
 * portal that comes out equal is the same object as before. A change of the node makes everything anew.
 */
export function buildSnapshot(objects: ObjectSet, node: Node, previous: Build = nothing(node)): Build {
  if (!sameNode(node, previous.node)) return buildSnapshot(objects, node);
  const serviceChanges = changesBetween(previous.objects.services, objects.services);
  const claims = settleClaims(serviceChanges, node.podCidrs, previous.claims);
  const sliceChanges = changesBetween(previous.objects.slices, objects.slices);
  const groups = regroup(previous.groups, sliceChanges);
  const dirty = new Set([
    ...dirtyServices(sliceChanges, claims, previous.claims),
    ...servicesAtChangedClaims(previous.claims.queues, claims.queues, previous.groups, node),
  ]);
  const parts = previous.parts.with(makeParts(dirty, claims, groups, node, previous.parts));
  return {
    snapshot: replacePortals(previous.snapshot, dirty, previous.parts, parts),
    problems: collectProblems(objects, parts, dirty, previous),
    healthChecks: collectHealthChecks(objects, parts, dirty, previous),
    objects,
    node,
    claims,
    groups,
    parts,
  };
}

type Parts = SharedMap<Part>;

/** Keys of the Services of which something changed: themselves, what they may claim, or a slice. */
function dirtyServices(
  sliceChanges: readonly Change<EndpointSlice>[],
  { claimed }: Claims,
  before: Claims,
): string[] {
  const slices = sliceChanges.flatMap((change) => [change.before, change.after]);
  const services = changesBetween(before.claimed, claimed).map(({ key }) => key);
  return [...slices.flatMap((slice) => slice?.service ?? []), ...services];
}

function makeParts(
  dirty: ReadonlySet<string>,
  claims: Claims,
  groups: SliceGroups,
  node: Node,
  before: Parts,
): Replacements<Part> {
  const parts = new Map<string, Part | undefined>();
  for (const key of dirty) {
    const one = claims.claimed.get(key);
    parts.set(key, one && makePart(one, groups.get(key) ?? [], claims, node, before.get(key)));
  }
  return parts;
}

function makePart(
  claimed: Claimed,
  group: readonly EndpointSlice[],
  claims: Claims,
  node: Node,
  before: Part | undefined,
): Part {
  const { service } = claimed.claimant;
  const { slices, problems } = leaveOutCircles(service, group, claims, node);
  const portals = claimed.fronts.map((front) => {
    const portal = makePortal(front, selectEndpoints(service, front, slices, node));
    return before?.portals.find((known) => isDeepStrictEqual(known, portal)) ?? portal;
  });
  const ofSlices =
    portals.length > 0
      ? [...nameProblems(slices), ...problems, ...mismatchProblems(service, portals, group)]
      : [];
  const healthCheck = serviceHealthCheck(service, slices, node, before?.healthCheck ?? null);
  return { claimed, portals, problems: compact([...claimed.problems, ...ofSlices]), healthCheck };
}

/** Member by member: V8 gives every object that was put together from spreads a description of its own, 400 bytes of it. */
function makePortal(front: Front, { endpoints, unserved }: Choice): Portal {
  const { key, service, portName, protocol, family, vips, nodePort, affinity, sources, insiders } = front;
  return {
    key,
    service,
    portName,
    protocol,
    family,
    vips,
    nodePort,
    affinity,
    sources,
    insiders,
    endpoints,
    unserved,
  };
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

/** The snapshot with the new portals of the dirty Services, in the old places; itself where they came out the same. */
function replacePortals(
  snapshot: Build['snapshot'],
  dirty: ReadonlySet<string>,
  before: Parts,
  after: Parts,
): Build['snapshot'] {
  const portals = new Map<string, Portal | undefined>();
  for (const key of dirty) {
    for (const portal of portalsOf(before, key)) portals.set(portal.key, undefined);
    for (const portal of portalsOf(after, key)) portals.set(portal.key, portal);
  }
  return snapshot.with(portals);
}

function portalsOf(parts: Parts, key: string): readonly Portal[] {
  return parts.get(key)?.portals ?? [];
}

/** In the order of the Services; most changes concern no problem at all and need not look for them. */
function collectProblems(
  { services }: ObjectSet,
  parts: Parts,
  dirty: ReadonlySet<string>,
  previous: Build,
): readonly Problem[] {
  const troubled = (key: string) => hasProblems(parts, key) || hasProblems(previous.parts, key);
  const sameOrder = previous.problems.length === 0 || services === previous.objects.services;
  if (sameOrder && ![...dirty].some(troubled)) return previous.problems;
  return [...services.keys()].flatMap((key) => parts.get(key)!.problems);
}

function hasProblems(parts: Parts, key: string): boolean {
  return (parts.get(key)?.problems.length ?? 0) > 0;
}

function collectHealthChecks(
  { services }: ObjectSet,
  parts: Parts,
  dirty: ReadonlySet<string>,
  previous: Build,
): readonly HealthCheck[] {
  const checkOf = (some: Parts, key: string) => some.get(key)?.healthCheck ?? null;
  if (![...dirty].some((key) => checkOf(parts, key) !== checkOf(previous.parts, key))) {
    return previous.healthChecks;
  }
  return [...services.keys()].flatMap((key) => checkOf(parts, key) ?? []);
}
