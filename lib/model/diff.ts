import { isDeepStrictEqual } from 'node:util';
import type { Portal, Snapshot } from './portal.js';

/** What must happen to get from one snapshot to another. */
export interface SnapshotDiff {
  readonly added: readonly Portal[];
  readonly removed: readonly Portal[];
  readonly changed: readonly PortalChange[];
}

/** Two versions of the portal with one key. */
export interface PortalChange {
  readonly before: Portal;
  readonly after: Portal;
}

/** Compares two snapshots by key and content; identical portals (`===`) cost one comparison. */
export function diffSnapshots(before: Snapshot, after: Snapshot): SnapshotDiff {
  const added: Portal[] = [];
  const changed: PortalChange[] = [];
  for (const [key, portal] of after) {
    const known = before.get(key);
    if (known === undefined) added.push(portal);
    else if (known !== portal && !isDeepStrictEqual(known, portal))
      changed.push({ before: known, after: portal });
  }
  const kept = after.size - added.length;
  const removed = kept === before.size ? [] : [...before.values()].filter(({ key }) => !after.has(key));
  return { added, removed, changed };
}
