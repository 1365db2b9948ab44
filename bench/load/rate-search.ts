/** What became of datagrams sent at one rate. */
export interface Attempt {
  /** A second, as really sent. */
  readonly sent: number;
  /** A second, as really received. */
  readonly received: number;
  /** Share of them that never arrived. */
  readonly lost: number;
}

export interface RateSearch {
  /** First rate to try, a second. */
  readonly start: number;
  /** Most attempts; after them the best rate so far is the result. */
  readonly attempts: number;
}

/** What may get lost. */
const LOSS = 0.001;
/** A receiver that is slower than the sender by more fills buffers, and would lose datagrams after a while. */
const SLACK = 0.05;
/** From rate to rate while the highest is not known. */
const GROWTH = 1.5;
/** Near enough. */
const PRECISION = 0.03;

/**
 * Looks for the highest rate that arrives: grows until it fails, or until the sender itself is too slow, then halves the
 * interval. A failure counts when it happens twice, since one may be the fault of another program.
 * @returns the highest rate received, a second; 0 where nothing worked
 */
export function searchRate(attempt: (rate: number) => Attempt, { start, attempts }: RateSearch): number {
  let best = 0;
  let good = 0;
  let bad = Number.POSITIVE_INFINITY;
  let failures = 0;
  let rate = start;
  for (let i = 0; i < attempts && bad - good > PRECISION * good; i++) {
    const result = attempt(rate);
    const isReached = result.sent >= rate * (1 - SLACK);
    if (arrives(result)) best = Math.max(best, result.received);
    if (arrives(result) && isReached) good = rate;
    else if (++failures < 2) continue;
    else bad = rate;
    failures = 0;
    rate = bad === Number.POSITIVE_INFINITY ? rate * GROWTH : (good + bad) / 2;
  }
  return best;
}

function arrives({ sent, received, lost }: Attempt): boolean {
  return lost < LOSS && received >= sent * (1 - SLACK);
}
