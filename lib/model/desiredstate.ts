import type { Portal } from '../portal/portal.js';
import { type Change, changesBetween } from './changes.js';
import { servicesAtChangedClaims } from './circles.js';
import { type Claims, NO_CLAIMS, settleClaims } from './claims.js';
import type { HealthCheck } from './healthcheck.js';
import { isSameNode, type Node } from './node.js';
import type { EndpointSlice, ObjectSet } from './objects.js';
import type { Problem } from './problem.js';
import { makeServiceState, type ServiceState } from './servicestate.js';
import { type Replacements, SharedMap } from './sharedmap.js';
import { regroup, type SliceGroups } from './slicegroups.js';

/** The desired state, and the data from which the next one is made quickly. */
export interface DesiredState {
  readonly snapshot: SharedMap<Portal>;
  readonly problems: readonly Problem[];
  /**
   * The health checks that load balancers may ask for. The same array (`===`) as before if nothing changed.
   */
  readonly healthChecks: readonly HealthCheck[];
  readonly objects: ObjectSet;
  readonly node: Node;
  readonly claims: Claims;
  /** `groups` and `services` have the key `namespace/name` of the Service. */
  readonly groups: SliceGroups;
  readonly services: ServiceStates;
}

function emptyState(node: Node): DesiredState {
  return {
    snapshot: SharedMap.empty(),
    problems: [],
    healthChecks: [],
    objects: { services: new Map(), slices: new Map() },
    node,
    claims: NO_CLAIMS,
    groups: SharedMap.empty(),
    services: SharedMap.empty(),
  };
}

/**
 * Turns objects into the portals that one node serves. Pure: the same objects give an equal result, with any
 * `previous` or without it.
 *
 * `previous` makes it fast: a Service whose objects are the same (`===`) is not looked at again, and a portal
 * that is equal to the earlier one is the same object. When the node changes, everything is made again.
 */
export function buildDesiredState(
  objects: ObjectSet,
  node: Node,
  previous: DesiredState = emptyState(node),
): DesiredState {
  if (!isSameNode(node, previous.node)) return buildDesiredState(objects, node);
  const serviceChanges = changesBetween(previous.objects.services, objects.services);
  const claims = settleClaims(serviceChanges, node.podCidrs, previous.claims);
  const sliceChanges = changesBetween(previous.objects.slices, objects.slices);
  const groups = regroup(previous.groups, sliceChanges);
  const dirty = new Set([
    ...dirtyServices(sliceChanges, claims, previous.claims),
    ...servicesAtChangedClaims(previous.claims.queues, claims.queues, previous.groups, node),
  ]);
  const services = previous.services.with(makeStates(dirty, claims, groups, node, previous.services));
  return {
    snapshot: replacePortals(previous.snapshot, dirty, previous.services, services),
    problems: collectProblems(objects, services, dirty, previous),
    healthChecks: collectHealthChecks(objects, services, dirty, previous),
    objects,
    node,
    claims,
    groups,
    services,
  };
}

type ServiceStates = SharedMap<ServiceState>;

/**
 * Keys of the Services that must be made again: their object, their claims or one of their slices changed.
 */
function dirtyServices(
  sliceChanges: readonly Change<EndpointSlice>[],
  { grants }: Claims,
  before: Claims,
): string[] {
  const slices = sliceChanges.flatMap((change) => [change.before, change.after]);
  const services = changesBetween(before.grants, grants).map(({ key }) => key);
  return [...slices.flatMap((slice) => slice?.service ?? []), ...services];
}

function makeStates(
  dirty: ReadonlySet<string>,
  claims: Claims,
  groups: SliceGroups,
  node: Node,
  before: ServiceStates,
): Replacements<ServiceState> {
  const states = new Map<string, ServiceState | undefined>();
  for (const key of dirty) {
    const grant = claims.grants.get(key);
    states.set(key, grant && makeServiceState(grant, groups.get(key) ?? [], claims, node, before.get(key)));
  }
  return states;
}

/**
 * The snapshot with the new portals of the dirty Services. A portal that stays keeps its place. The same
 * object (`===`) if no portal changed.
 */
function replacePortals(
  snapshot: DesiredState['snapshot'],
  dirty: ReadonlySet<string>,
  before: ServiceStates,
  after: ServiceStates,
): DesiredState['snapshot'] {
  const portals = new Map<string, Portal | undefined>();
  for (const key of dirty) {
    for (const portal of portalsOf(before, key)) portals.set(portal.key, undefined);
    for (const portal of portalsOf(after, key)) portals.set(portal.key, portal);
  }
  return snapshot.with(portals);
}

function portalsOf(states: ServiceStates, key: string): readonly Portal[] {
  return states.get(key)?.portals ?? [];
}

/**
 * The problems in the order of the Services. Most changes touch no Service with a problem; then it is the
 * earlier list.
 */
function collectProblems(
  { services }: ObjectSet,
  states: ServiceStates,
  dirty: ReadonlySet<string>,
  previous: DesiredState,
): readonly Problem[] {
  const isTroubled = (key: string) => hasProblems(states, key) || hasProblems(previous.services, key);
  const isSameOrder = previous.problems.length === 0 || services === previous.objects.services;
  if (isSameOrder && ![...dirty].some(isTroubled)) return previous.problems;
  return [...services.keys()].flatMap((key) => states.get(key)?.problems ?? []);
}

function hasProblems(states: ServiceStates, key: string): boolean {
  return (states.get(key)?.problems.length ?? 0) > 0;
}

function collectHealthChecks(
  { services }: ObjectSet,
  states: ServiceStates,
  dirty: ReadonlySet<string>,
  previous: DesiredState,
): readonly HealthCheck[] {
  const checkOf = (all: ServiceStates, key: string) => all.get(key)?.healthCheck ?? null;
  if (![...dirty].some((key) => checkOf(states, key) !== checkOf(previous.services, key))) {
    return previous.healthChecks;
  }
  return [...services.keys()].flatMap((key) => checkOf(states, key) ?? []);
}
