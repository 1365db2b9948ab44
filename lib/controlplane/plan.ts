import { diffSnapshots, type SnapshotDiff } from '../model/diff.js';
import type { Portal, Snapshot } from '../portal/portal.js';

/** How far the node has come. The executor updates it with every step that is done. */
export interface ActualState {
  /** The portals of the node, each in its latest version. */
  readonly portals: Snapshot;
  /** Keys of portals that still need steps, because an earlier run of the executor failed. */
  readonly unfinished: ReadonlySet<string>;
  /** Ids of removed portals whose listeners the workers have not closed yet. */
  readonly closing: ReadonlySet<number>;
  /** Keys of removed portals whose redirects the driver may still have. */
  readonly stale: ReadonlySet<string>;
}

/** Steps are done in order. Each step may rely on the steps before it. */
export type Step =
  /** The driver removes the redirects to these portals. */
  | { readonly do: 'unredirect'; readonly keys: readonly string[] }
  /** The node's list of portals becomes the desired one. No socket is opened, no program is run. */
  | {
      readonly do: 'take over';
      readonly desired: Snapshot;
      readonly diff: SnapshotDiff;
      readonly stale: readonly string[];
    }
  /**
   * Removed portals close all listeners. The portals with these keys close listeners that they no longer
   * want.
   */
  | { readonly do: 'close'; readonly keys: readonly string[] }
  /** These portals open the listeners that they want but do not have. */
  | { readonly do: 'open'; readonly keys: readonly string[] }
  /** The workers get the portals as they are now, with their listeners. */
  | { readonly do: 'tell workers'; readonly keys: readonly string[] }
  /** The driver redirects clients to these portals as they listen now, and removes stale redirects. */
  | { readonly do: 'redirect'; readonly keys: readonly string[]; readonly stale: readonly string[] };

/**
 * The steps from the actual state to the desired one. The cost grows with the difference of the two.
 *
 * A removed portal first loses its redirect, then its listeners close. An added portal first listens, then it
 * gets its redirect. If an added portal takes over a VIP of a removed one, one change of the driver moves the
 * VIP, so that clients find no gap. All listeners close before others open: a place that one portal gives up
 * may be opened by another.
 */
export function plan(actual: ActualState, desired: Snapshot): Step[] {
  const diff = diffSnapshots(actual.portals, desired);
  const { added, changed, removed } = diff;
  const wantedSoon = new Set(added.flatMap(({ vips }) => vips.map(({ address }) => address)));
  const isLeaving = ({ vips }: Portal) => !vips.some(({ address }) => wantedSoon.has(address));
  const leaving = new Set(keysOf(removed.filter(isLeaving)));
  const kept = new Set([...keysOf(changed.map(({ after }) => after)), ...actual.unfinished]);
  const updated = [...kept].filter((key) => desired.has(key));
  const newKeys = keysOf(added).filter((key) => !kept.has(key));
  const touched = [...updated, ...newKeys];
  const replaced = [...removed, ...changed.map(({ before }) => before)].map(({ key }) => key);
  const outdated = replaced.filter((key) => !leaving.has(key) && !desired.has(key));
  const stale = [...new Set([...actual.stale, ...outdated])].filter((key) => !desired.has(key));
  const mustClose = updated.length > 0 || removed.length > 0 || actual.closing.size > 0;
  const mustRedirect = touched.length > 0 || stale.length > 0;
  return [
    ...stepIf(leaving.size > 0, { do: 'unredirect', keys: [...leaving] }),
    ...stepIf(actual.portals !== desired, { do: 'take over', desired, diff, stale }),
    ...stepIf(mustClose, { do: 'close', keys: updated }),
    ...stepIf(touched.length > 0, { do: 'open', keys: touched }),
    ...stepIf(touched.length > 0, { do: 'tell workers', keys: touched }),
    ...stepIf(mustRedirect, { do: 'redirect', keys: touched, stale }),
  ];
}

/** Whether steps are left over from an earlier run of the executor. */
export function isUnfinished(
  { portals, unfinished, closing, stale }: ActualState,
  desired: Snapshot,
): boolean {
  return portals !== desired || unfinished.size + closing.size + stale.size > 0;
}

/** The steps after portals opened or gave up listeners, or got another proxy port. */
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
