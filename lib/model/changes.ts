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
  const services = changedValues(before.services, after.services);
  const slices = changedValues(before.slices, after.slices);
  return {
    services: services.length + removals(before.services, after.services),
    slices: slices.length + removals(before.slices, after.slices),
    triggeredMs: slices.flatMap((slice: EndpointSlice) => slice.triggeredMs ?? []),
  };
}

/**
 * The values that `after` has and `before` has not. Each value must stand under a key of its own. Most are the same and in the
 * same place, and then cost no look-up: this runs for every change of one object among many thousands.
 */
export function changedValues<T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): T[] {
  if (before === after) return [];
  const changed: T[] = [];
  const others = before.values();
  for (const [key, value] of after) {
    if (others.next().value !== value && before.get(key) !== value) changed.push(value);
  }
  return changed;
}

function removals(before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): number {
  if (before === after) return 0;
  let count = 0;
  const others = after.keys();
  for (const key of before.keys()) if (others.next().value !== key && !after.has(key)) count++;
  return count;
}
