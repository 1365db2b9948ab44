import { isDeepStrictEqual } from 'node:util';
import type { Portal, Snapshot } from '../portal/portal.js';
import { changesBetween } from './changes.js';

/** The differences between one snapshot and a later one. */
export interface SnapshotDiff {
  readonly added: readonly Portal[];
  readonly removed: readonly Portal[];
  readonly changed: readonly ChangedPortal[];
}

/** Two versions of one portal. Their keys differ if the Service's port was renamed. */
export interface ChangedPortal {
  readonly before: Portal;
  readonly after: Portal;
}

/**
 * Compares two snapshots by key and content. A portal that is the same object (`===`) in both costs almost
 * nothing.
 *
 * A portal whose key alone changed counts as changed, not as removed and added. So a renamed port keeps its
 * sockets, its flows and its proxy port.
 */
export function diffSnapshots(from: Snapshot, to: Snapshot): SnapshotDiff {
  const added: Portal[] = [];
  const removed: Portal[] = [];
  const changed: ChangedPortal[] = [];
  for (const { before, after } of changesBetween(from, to)) {
    if (before !== undefined && after !== undefined) {
      if (!isDeepStrictEqual(before, after)) changed.push({ before, after });
    } else if (after !== undefined) added.push(after);
    else if (before !== undefined) removed.push(before);
  }
  if (added.length === 0 || removed.length === 0) return { added, removed, changed };
  const renamed = pairRenamed(removed, added);
  return {
    added: added.filter((portal) => !renamed.some((pair) => pair.after === portal)),
    removed: removed.filter((portal) => !renamed.some((pair) => pair.before === portal)),
    changed: [...changed, ...renamed],
  };
}

function pairRenamed(removed: readonly Portal[], added: readonly Portal[]): ChangedPortal[] {
  const byIdentity = new Map(removed.map((portal) => [identityOf(portal), portal]));
  return added.flatMap((after) => {
    const before = byIdentity.get(identityOf(after));
    return before === undefined ? [] : [{ before, after }];
  });
}

/**
 * Text that stays the same when a portal is renamed, and that no other portal has: its Service and an address
 * or port of its own.
 */
function identityOf({ service, protocol, family, vips, nodePort }: Portal): string {
  const [vip] = vips;
  const place = vip === undefined ? `node port ${nodePort}` : `${vip.address} ${vip.port}`;
  return `${service} ${protocol} ${family} ${place}`;
}
