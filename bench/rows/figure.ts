/** A number that a row measures. */
export interface Figure {
  readonly id: string;
  /** The title with the unit. */
  readonly title: string;
  readonly better: 'more' | 'less';
}

/** The measured numbers by the ids of their figures. A figure that a contender does not have is left out. */
export type Values = Readonly<Record<string, number>>;

export const rate: Figure = { id: 'rate', title: 'per second', better: 'more' };
export const gigabits: Figure = { id: 'gigabits', title: 'Gbit/s', better: 'more' };
export const p50: Figure = { id: 'p50', title: 'p50 µs', better: 'less' };
export const p99: Figure = { id: 'p99', title: 'p99 µs', better: 'less' };
/** CPU time of the proxy's own processes. */
export const cpuPerMillion: Figure = { id: 'cpu', title: 'CPU s per million', better: 'less' };
export const cpuPerGibibyte: Figure = { id: 'cpu', title: 'CPU s per GiB', better: 'less' };
export const lost: Figure = { id: 'lost', title: 'lost %', better: 'less' };
