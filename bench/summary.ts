import { QUIET, type Sample } from './measure.js';

/** What the rounds of one contender in one row come to. */
export interface Summary {
  readonly row: string;
  readonly contender: string;
  /** Median, lowest and highest rate. */
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
  /** Median CPU seconds for one unit; null where the kernel does all. */
  readonly cpuPerUnit: number | null;
  readonly losses: number;
  /** Median of the cores that others took. */
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

/** The quiet samples; all of them where none was quiet. */
function undisturbed(samples: readonly Sample[]): readonly Sample[] {
  const quiet = samples.filter(({ disturbance }) => disturbance <= QUIET);
  return quiet.length > 0 ? quiet : samples;
}

function summarizeGroup(samples: readonly Sample[]): Summary {
  const rates = samples.map((sample) => sample.perSecond);
  const costs = samples.flatMap((sample) => sample.cpuPerUnit ?? []);
  return {
    row: samples[0].row,
    contender: samples[0].contender,
    median: median(rates),
    lowest: Math.min(...rates),
    highest: Math.max(...rates),
    cpuPerUnit: costs.length === 0 ? null : median(costs),
    losses: samples.reduce((sum, sample) => sum + sample.losses, 0),
    disturbance: median(samples.map((sample) => sample.disturbance)),
  };
}

/** The middle value; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
