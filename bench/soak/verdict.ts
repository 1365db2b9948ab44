import type { Failure, Kind } from './clients/talk.js';
import type { KindTotals } from './crowd.js';

/** What happened when, as far as it explains failures. Times are Date.now(). */
export interface History {
  /** When endpoints were killed. */
  readonly kills: readonly number[];
  /** From the end of a process to the moment at which the next one serves. */
  readonly gaps: readonly { readonly from: number; readonly to: number }[];
  readonly carrier: string;
}

/** An endpoint that was killed resets its connections at once, but a busy client may learn it late, ms. */
const LATE_MS = 5000;

export interface KindResult {
  readonly kind: Kind;
  readonly done: number;
  readonly askedAgain: number;
  /** Failures that are as docs/carrier.md says. */
  readonly explained: number;
  readonly errors: readonly Failure[];
}

export function judge(totals: ReadonlyMap<Kind, KindTotals>, history: History): KindResult[] {
  return [...totals].map(([kind, { done, askedAgain, failures }]) => {
    const errors = failures.filter((failure) => !isExplained(failure, history));
    return { kind, done, askedAgain, explained: failures.length - errors.length, errors };
  });
}

/** Connections end with their endpoint. The relay's end with its process, and new ones are refused then. */
function isExplained({ at, wasOpen }: Failure, { kills, gaps, carrier }: History): boolean {
  const isIn = (from: number, to: number) => from <= at && at <= to + LATE_MS;
  if (carrier === 'relay' && gaps.some(({ from, to }) => isIn(from, to))) return true;
  return wasOpen && kills.some((time) => isIn(time, time));
}
