import type { EndpointSlice, ObjectSet } from './objects.js';

/** What differs between two sets of objects, for statistics. */
export interface ObjectChanges {
  /** Objects added, removed and changed. */
  readonly services: number;
  readonly slices: number;
  /** See {@link EndpointSlice.triggeredMs}; of the slices added and changed, where it is known. */
  readonly triggeredMs: readonly number[];
}

/** Compares by identity (`===`), as sources keep what did not change. */
export function countChanges(before: ObjectSet, after: ObjectSet): ObjectChanges {
  const slices = changedValues(before.slices, after.slices);
  return {
    services:
      changedValues(before.services, after.services).length + removals(before.services, after.services),
    slices: slices.length + removals(before.slices, after.slices),
    triggeredMs: slices.flatMap((slice: EndpointSlice) => slice.triggeredMs ?? []),
  };
}

function changedValues<T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): T[] {
  return [...after].filter(([key, value]) => before.get(key) !== value).map(([, value]) => value);
}

function removals(before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): number {
  let count = 0;
  for (const key of before.keys()) if (!after.has(key)) count++;
  return count;
}
