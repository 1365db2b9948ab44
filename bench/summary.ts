import { item } from '../test/lab/items.js';
import { median } from './median.js';
import { MAX_QUIET_DISTURBANCE, type Sample } from './schedule.js';

/** A figure over several rounds. */
export interface Spread {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

/** The result of one contender in one row, over all rounds. */
export interface Summary {
  readonly row: string;
  readonly contender: string;
  /** By the id of the figure. */
  readonly spreads: Readonly<Record<string, Spread>>;
  /** Median of the samples' disturbance, cores. */
  readonly disturbance: number;
}

/** One summary for each row and contender, in the order of their first samples. */
export function summarize(samples: readonly Sample[]): Summary[] {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = `${sample.row} ${sample.contender}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [sample]);
    else group.push(sample);
  }
  return [...groups.values()].map((group) => summarizeGroup(undisturbed(group)));
}

/** The quiet samples. All samples if none is quiet. */
function undisturbed(samples: readonly Sample[]): readonly Sample[] {
  const quiet = samples.filter(({ disturbance }) => disturbance <= MAX_QUIET_DISTURBANCE);
  return quiet.length > 0 ? quiet : samples;
}

function summarizeGroup(samples: readonly Sample[]): Summary {
  const { row, contender } = item(samples, 0);
  const figures = new Set(samples.flatMap(({ values }) => Object.keys(values)));
  const spreads = [...figures].map((figure) => {
    const values = samples.flatMap(({ values }) => values[figure] ?? []);
    return [figure, spreadOf(values)] as const;
  });
  return {
    row,
    contender,
    spreads: Object.fromEntries(spreads),
    disturbance: median(samples.map(({ disturbance }) => disturbance)),
  };
}

function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), lowest: Math.min(...values), highest: Math.max(...values) };
}
