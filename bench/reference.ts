import type { Figure } from './rows/figure.js';
import type { Spread, Summary } from './summary.js';

/** Somebody whose figures the others' are divided by. */
export interface Reference {
  readonly title: string;
  /** The best of those that were measured. */
  readonly contenders: readonly string[];
}

export const REFERENCES: readonly Reference[] = [
  { title: 'kernel', contenders: ['kernel'] },
  { title: 'best peer', contenders: ['nginx', 'haproxy'] },
  { title: 'ancestor', contenders: ['ancestor'] },
];

/** The reference's median of a figure in one row; undefined where it has none. @param summaries of the row */
export function referenceValue(
  { contenders }: Reference,
  { id, better }: Figure,
  summaries: readonly Summary[],
): number | undefined {
  const spreads: readonly (Spread | undefined)[] = summaries
    .filter(({ contender }) => contenders.includes(contender))
    .map(({ spreads }) => spreads[id]);
  const medians = spreads.flatMap((spread) => spread?.median ?? []);
  if (medians.length === 0) return undefined;
  return better === 'more' ? Math.max(...medians) : Math.min(...medians);
}
