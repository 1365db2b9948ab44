import { isDeepStrictEqual } from 'node:util';
import { changedValues } from './changes.js';
import { type Claimed, settleClaims } from './claims.js';
import { compact } from './compact.js';
import { selectEndpoints } from './endpoints.js';
import { type HealthCheck, serviceHealthCheck } from './healthcheck.js';
import { type Node, sameNode } from './node.js';
import { type EndpointSlice, type ObjectSet, objectKey } from './objects.js';
import type { Portal, Snapshot } from './portal.js';
import type { Problem } from './problem.js';

/** The desired state, and what is needed to make the next one from it quickly. */
export interface Build {
  readonly snapshot: Snapshot;
  readonly problems: readonly Problem[];
  /** What load balancers may ask for; the same array (`===`) as before where nothing changed. */
  readonly healthChecks: readonly HealthCheck[];
  readonly objects: ObjectSet;
  readonly node: Node;
  /** The next two by `namespace/name` of the Service. */
  readonly claimed: ReadonlyMap<string, Claimed>;
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
    snapshot: new Map(),
    problems: [],
    healthChecks: [],
    objects: { services: new Map(), slices: new Map() },
    node,
    claimed: new Map(),
    parts: new Map(),
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
  const claimed = sameServices(objects, previous.objects)
    ? previous.claimed
    : settleClaims(objects.services, node.podCidrs, previous.claimed);
  const dirty = dirtyServices(objects.slices, claimed, previous);
  if (dirty.size === 0) return { ...previous, objects, claimed };
  const slices = slicesOf(objects.slices, dirty);
  const parts = new Map(previous.parts);
  for (const key of dirty) {
    const one = claimed.get(key);
    if (one === undefined) parts.delete(key);
    else parts.set(key, makePart(one, slices.get(key) ?? [], node, previous.parts.get(key)));
  }
  return {
    ...previous,
    snapshot: replacePortals(previous.snapshot, dirty, previous.parts, parts),
    problems: collectProblems(claimed, parts, dirty, previous),
    healthChecks: collectHealthChecks(claimed, parts, dirty, previous),
    objects,
    claimed,
    parts,
  };
}

function sameServices({ services }: ObjectSet, previous: ObjectSet): boolean {
  if (services === previous.services) return true;
  if (services.size !== previous.services.size) return false;
  const others = previous.services.values();
  for (const service of services.values()) if (service !== others.next().value) return false;
  return true;
}

type Parts = ReadonlyMap<string, Part>;
type Slices = ReadonlyMap<string, EndpointSlice>;

/** Keys of the Services of which something changed: themselves, what they may claim, or a slice. */
function dirtyServices(slices: Slices, claimed: Build['claimed'], previous: Build): ReadonlySet<string> {
  const dirty = touchedServices(slices, previous.objects.slices);
  if (claimed === previous.claimed) return dirty;
  for (const [key, one] of claimed) if (previous.claimed.get(key) !== one) dirty.add(key);
  for (const key of previous.claimed.keys()) if (!claimed.has(key)) dirty.add(key);
  return dirty;
}

/** Keys of the Services that gained, lost or changed a slice. */
function touchedServices(now: Slices, before: Slices): Set<string> {
  const touched = new Set<string>();
  let added = 0;
  for (const slice of changedValues(before, now)) {
    const old = before.get(objectKey(slice));
    touched.add(slice.service);
    if (old === undefined) added += 1;
    else touched.add(old.service);
  }
  if (now.size - added === before.size) return touched;
  for (const [key, old] of before) if (!now.has(key)) touched.add(old.service);
  return touched;
}

/** Slices by Service, of the Services that are asked for. */
function slicesOf(slices: Slices, services: ReadonlySet<string>): Map<string, EndpointSlice[]> {
  const groups = new Map<string, EndpointSlice[]>();
  for (const slice of slices.values()) {
    if (!services.has(slice.service)) continue;
    const group = groups.get(slice.service);
    if (group === undefined) groups.set(slice.service, [slice]);
    else group.push(slice);
  }
  return groups;
}

function makePart(
  claimed: Claimed,
  slices: readonly EndpointSlice[],
  node: Node,
  before: Part | undefined,
): Part {
  const { service } = claimed.claimant;
  const portals = claimed.fronts.map((front) => {
    const { policy, ...client } = front;
    const portal: Portal = { ...client, ...selectEndpoints(service, front, slices, node) };
    return before?.portals.find((known) => isDeepStrictEqual(known, portal)) ?? portal;
  });
  const named = portals.length > 0 ? nameProblems(slices) : [];
  const healthCheck = serviceHealthCheck(service, slices, node, before?.healthCheck ?? null);
  return { claimed, portals, problems: compact([...claimed.problems, ...named]), healthCheck };
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
  snapshot: Snapshot,
  dirty: ReadonlySet<string>,
  before: Parts,
  after: Parts,
): Snapshot {
  const moved = [...dirty].filter((key) => !samePortals(portalsOf(before, key), portalsOf(after, key)));
  if (moved.length === 0) return snapshot;
  const result = new Map(snapshot);
  for (const key of moved) {
    const portals = portalsOf(after, key);
    for (const old of portalsOf(before, key)) {
      if (!portals.some((portal) => portal.key === old.key)) result.delete(old.key);
    }
    for (const portal of portals) result.set(portal.key, portal);
  }
  return result;
}

function portalsOf(parts: Parts, key: string): readonly Portal[] {
  return parts.get(key)?.portals ?? [];
}

function samePortals(a: readonly Portal[], b: readonly Portal[]): boolean {
  return a.length === b.length && a.every((portal, index) => portal === b[index]);
}

/** In the order of the Services; most changes concern no problem at all and need not look for them. */
function collectProblems(
  claimed: Build['claimed'],
  parts: Parts,
  dirty: ReadonlySet<string>,
  previous: Build,
): readonly Problem[] {
  const troubled = (key: string) => hasProblems(parts, key) || hasProblems(previous.parts, key);
  if (claimed === previous.claimed && ![...dirty].some(troubled)) return previous.problems;
  return [...claimed.keys()].flatMap((key) => parts.get(key)!.problems);
}

function hasProblems(parts: Parts, key: string): boolean {
  return (parts.get(key)?.problems.length ?? 0) > 0;
}

function collectHealthChecks(
  claimed: Build['claimed'],
  parts: Parts,
  dirty: ReadonlySet<string>,
  previous: Build,
): readonly HealthCheck[] {
  const checkOf = (some: Parts, key: string) => some.get(key)?.healthCheck ?? null;
  if (![...dirty].some((key) => checkOf(parts, key) !== checkOf(previous.parts, key))) {
    return previous.healthChecks;
  }
  return [...claimed.keys()].flatMap((key) => checkOf(parts, key) ?? []);
}
