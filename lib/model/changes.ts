import type { ObjectSet } from './objects.js';
import { SharedMap } from './sharedmap.js';

/** How the value of one key differs between two maps. */
export interface Change<T> {
  readonly key: string;
  /** Undefined if the value was added. */
  readonly before: T | undefined;
  /** Undefined if the value was removed. */
  readonly after: T | undefined;
}

/** Counts of what differs between two sets of objects, for statistics. */
export interface ObjectChanges {
  /** Number of objects that were added, removed or changed. */
  readonly services: number;
  readonly slices: number;
  /** `triggeredMs` of the slices that were added or changed, without those that have none. */
  readonly triggeredMs: readonly number[];
}

/** Compares by identity (`===`): sources keep the same object if it did not change. */
export function countChanges(before: ObjectSet, after: ObjectSet): ObjectChanges {
  const slices = changesBetween(before.slices, after.slices);
  return {
    services: changesBetween(before.services, after.services).length,
    slices: slices.length,
    triggeredMs: slices.flatMap(({ after: slice }) => slice?.triggeredMs ?? []),
  };
}

/** Compares by identity (`===`), as {@link differingParts} does. */
export function changesBetween<T>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
): Change<T>[] {
  return differingParts(before, after).flatMap(([old, next]) => compareAll(old, next));
}

/**
 * The parts in which two maps may differ: pairs of one part from each map, with the same keys. Two versions
 * of a {@link SharedMap} share most parts, and shared parts are left out. So the cost is low when one object
 * among many thousands changes.
 */
export function differingParts<T>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
): [ReadonlyMap<string, T>, ReadonlyMap<string, T>][] {
  if (before === after) return [];
  if (before instanceof SharedMap && after instanceof SharedMap) return before.differingParts(after);
  return [[before, after]];
}

function compareAll<T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): Change<T>[] {
  const changes: Change<T>[] = [];
  for (const [key, value] of after) {
    const known = before.get(key);
    if (known !== value) changes.push({ key, before: known, after: value });
  }
  for (const [key, value] of before)
    if (!after.has(key)) changes.push({ key, before: value, after: undefined });
  return changes;
}
