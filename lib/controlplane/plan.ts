import { diffSnapshots, type SnapshotDiff } from '../model/diff.js';
import type { Portal, Snapshot } from '../portal/portal.js';

/** How far the node has come. The executor advances it with every step that is done. */
export interface Current {
  /** The portals that the node has, each in its latest version. */
  readonly portals: Snapshot;
  /** Keys of portals that steps must still be done for: an earlier run failed before its end. */
  readonly unfinished: ReadonlySet<string>;
  /** Ids of portals that are gone, and whose listeners the workers have not closed yet. */
  readonly closing: ReadonlySet<number>;
  /** Keys of portals that are gone, and whose redirects the driver may have still. */
  readonly stale: ReadonlySet<string>;
}

/** One step on the way. Steps are done in order: each may rely on those before it. */
export type Step =
  /** Nothing leads to these portals any more. */
  | { readonly do: 'unredirect'; readonly keys: readonly string[] }
  /** The node's list of portals becomes the desired one. No socket is opened, no program is run. */
  | {
      readonly do: 'take over';
      readonly desired: Snapshot;
      readonly diff: SnapshotDiff;
      readonly stale: readonly string[];
    }
  /** Removed portals close all listeners. These ones close those that they no longer want. */
  | { readonly do: 'close'; readonly keys: readonly string[] }
  /** These portals open the listeners that they want and do not have. */
  | { readonly do: 'open'; readonly keys: readonly string[] }
  /** The workers get the portals as they are now, with their listeners. */
  | { readonly do: 'tell workers'; readonly keys: readonly string[] }
  /** The driver leads clients to these portals as they listen now, and removes what is stale. */
  | { readonly do: 'redirect'; readonly keys: readonly string[]; readonly stale: readonly string[] };

/**
 * The steps from what the node has to what it should have. It costs as much as the two differ.
 *
 * A portal that goes is first redirected to no more, and then closed. One that comes first listens, and is
 * then redirected to. If a portal takes over a VIP of one that goes, one change of the driver moves the VIP,
 * so that clients do not find a gap. All that closes is closed before anything opens: what one portal gives
 * up, another may open.
 */
export function plan(current: Current, desired: Snapshot): Step[] {
  const diff = diffSnapshots(current.portals, desired);
  const { added, changed, removed } = diff;
  const wantedSoon = new Set(added.flatMap(({ vips }) => vips.map(({ address }) => address)));
  const isLeaving = ({ vips }: Portal) => !vips.some(({ address }) => wantedSoon.has(address));
  const leaving = new Set(keysOf(removed.filter(isLeaving)));
  const kept = new Set([...keysOf(changed.map(({ after }) => after)), ...current.unfinished]);
  const updated = [...kept].filter((key) => desired.has(key));
  const comers = keysOf(added).filter((key) => !kept.has(key));
  const touched = [...updated, ...comers];
  const replaced = [...removed, ...changed.map(({ before }) => before)].map(({ key }) => key);
  const outdated = replaced.filter((key) => !leaving.has(key) && !desired.has(key));
  const stale = [...new Set([...current.stale, ...outdated])].filter((key) => !desired.has(key));
  const mustClose = updated.length > 0 || removed.length > 0 || current.closing.size > 0;
  const mustRedirect = touched.length > 0 || stale.length > 0;
  return [
    ...stepIf(leaving.size > 0, { do: 'unredirect', keys: [...leaving] }),
    ...stepIf(current.portals !== desired, { do: 'take over', desired, diff, stale }),
    ...stepIf(mustClose, { do: 'close', keys: updated }),
    ...stepIf(touched.length > 0, { do: 'open', keys: touched }),
    ...stepIf(touched.length > 0, { do: 'tell workers', keys: touched }),
    ...stepIf(mustRedirect, { do: 'redirect', keys: touched, stale }),
  ];
}

/** Whether {@link plan} would find that an earlier run has not come to its end. */
export function isUnfinished({ portals, unfinished, closing, stale }: Current, desired: Snapshot): boolean {
  return portals !== desired || unfinished.size + closing.size + stale.size > 0;
}

/** Portals have opened or given up listeners, or have another proxy port. */
export function planTelling(keys: readonly string[]): Step[] {
  if (keys.length === 0) return [];
  return [
    { do: 'tell workers', keys },
    { do: 'redirect', keys, stale: [] },
  ];
}

function stepIf(isNeeded: boolean, step: Step): Step[] {
  return isNeeded ? [step] : [];
}

function keysOf(portals: readonly Portal[]): string[] {
  return portals.map(({ key }) => key);
}
