import type { ObjectSet } from './objects.js';
import { SharedMap } from './sharedmap.js';

/** What became of one key between two maps. */
export interface Change<T> {
  readonly key: string;
  /** Undefined where the value was added. */
  readonly before: T | undefined;
  /** Undefined where the value was removed. */
  readonly after: T | undefined;
}

/** What differs between two sets of objects, for statistics. */
export interface ObjectChanges {
  /** Objects added, removed and changed. */
  readonly services: number;
  readonly slices: number;
  /** See `triggeredMs` of EndpointSlice: of the slices that were added or changed, where it is known. */
  readonly triggeredMs: readonly number[];
}

/** Compares by identity (`===`), as sources keep what did not change. */
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
 * Where two maps may differ: parts of the one, each with the part of the other that has the same keys. Two
 * versions of a {@link SharedMap} share most of their parts; the shared ones are left out. This runs for each
 * change of one object among many thousands.
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
