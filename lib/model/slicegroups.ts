import type { Change } from './changes.js';
import type { EndpointSlice } from './objects.js';
import type { SharedMap } from './sharedmap.js';

/**
 * Slices by `namespace/name` of their Service, sorted by name: equal sets of slices give equal groups, in
 * whatever order they came.
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

/** No group is kept where no slice is left. */
function without(
  group: readonly EndpointSlice[],
  slice: EndpointSlice,
): readonly EndpointSlice[] | undefined {
  return group.length === 1 ? undefined : group.toSpliced(group.indexOf(slice), 1);
}

/**
 * Made by toSpliced: its array has no spare room, which an array made by a spread has. There is one for each
 * Service.
 */
function including(group: readonly EndpointSlice[], slice: EndpointSlice): readonly EndpointSlice[] {
  const next = group.findIndex(({ name }) => name > slice.name);
  return group.toSpliced(next < 0 ? group.length : next, 0, slice);
}
