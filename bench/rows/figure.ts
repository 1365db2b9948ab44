/** One thing that a row finds out, in a unit of its own. */
export interface Figure {
  readonly id: string;
  /** With its unit. */
  readonly title: string;
  readonly better: 'more' | 'less';
}

/** What was found, by figure; what a contender has no number for is left out. */
export type Values = Readonly<Record<string, number>>;

export const rate: Figure = { id: 'rate', title: 'per second', better: 'more' };
export const gigabits: Figure = { id: 'gigabits', title: 'Gbit/s', better: 'more' };
export const p50: Figure = { id: 'p50', title: 'p50 µs', better: 'less' };
export const p99: Figure = { id: 'p99', title: 'p99 µs', better: 'less' };
/** CPU time of the proxy's own processes. */
export const cpuPerMillion: Figure = { id: 'cpu', title: 'CPU s per million', better: 'less' };
export const cpuPerGibibyte: Figure = { id: 'cpu', title: 'CPU s per GiB', better: 'less' };
export const lost: Figure = { id: 'lost', title: 'lost %', better: 'less' };
