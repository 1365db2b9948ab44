import type { Change } from './changes.js';
import type { EndpointSlice } from './objects.js';
import type { SharedMap } from './sharedmap.js';

/**
 * Slices by `namespace/name` of their Service. Each group is sorted by name, so equal sets of slices give
 * equal groups.
 */
export type SliceGroups = SharedMap<readonly EndpointSlice[]>;

/** The groups after some slices changed. */
export function regroup(groups: SliceGroups, changes: readonly Change<EndpointSlice>[]): SliceGroups {
  const changed = new Map<string, readonly EndpointSlice[] | undefined>();
  const groupOf = (key: string) => (changed.has(key) ? changed.get(key) : groups.get(key)) ?? [];
  for (const { before, after } of changes) {
    if (before !== undefined) changed.set(before.service, without(groupOf(before.service), before));
    if (after !== undefined) changed.set(after.service, including(groupOf(after.service), after));
  }
  return groups.with(changed);
}

/** Undefined if no slice is left, because empty groups are not kept. */
function without(
  group: readonly EndpointSlice[],
  slice: EndpointSlice,
): readonly EndpointSlice[] | undefined {
  return group.length === 1 ? undefined : group.toSpliced(group.indexOf(slice), 1);
}

/** With toSpliced: an array from a spread keeps spare memory, and each Service has such an array. */
function including(group: readonly EndpointSlice[], slice: EndpointSlice): readonly EndpointSlice[] {
  const next = group.findIndex(({ name }) => name > slice.name);
  return group.toSpliced(next < 0 ? group.length : next, 0, slice);
}
