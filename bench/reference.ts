import type { Figure } from './rows/figure.js';
import type { Spread, Summary } from './summary.js';

/** Contenders with which the others are compared: their figures are divided by the reference's. */
export interface Reference {
  readonly title: string;
  /** The best figure of these contenders is the reference's. */
  readonly contenders: readonly string[];
}

export const REFERENCES: readonly Reference[] = [
  { title: 'kernel', contenders: ['kernel'] },
  { title: 'masquerade', contenders: ['kernel-masquerade'] },
  { title: 'best peer', contenders: ['nginx', 'haproxy'] },
  { title: 'kube-proxy', contenders: ['kube-proxy-iptables', 'kube-proxy-nftables'] },
  { title: 'ancestor', contenders: ['ancestor'] },
];

/**
 * The reference's median of a figure in one row. Undefined if none of its contenders has the figure.
 * @param summaries of the row
 */
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
