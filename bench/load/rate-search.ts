/** The result of sending at one rate. */
export interface Attempt {
  /** Datagrams that were really sent, per second. */
  readonly sent: number;
  /** Datagrams that arrived, per second. */
  readonly received: number;
  /** Share of the datagrams that did not arrive, 0 to 1. */
  readonly lost: number;
}

export interface RateSearch {
  /** The rate of the first attempt, datagrams per second. */
  readonly start: number;
  /** Most attempts. After them, the best rate so far is the result. */
  readonly attempts: number;
}

/** Share of the datagrams that may be lost. */
const MAX_LOSS = 0.001;
/**
 * Share by which a receiver may be slower than the sender. With more, buffers fill, and the receiver would
 * lose datagrams after a while.
 */
const MAX_LAG = 0.05;
/** Factor from one rate to the next while no rate has failed. */
const GROWTH = 1.5;
/** The search ends when the lowest failed rate is above the highest good rate by no more than this share. */
const PRECISION = 0.03;

/**
 * Searches the highest rate that arrives. The rate grows until it fails, or until the sender is too slow.
 * Then the interval is halved. A rate fails only after two failed attempts, because another program may cause
 * one.
 * @returns the highest rate that was received, datagrams per second; 0 if no attempt succeeded
 */
export function searchRate(attempt: (rate: number) => Attempt, { start, attempts }: RateSearch): number {
  let best = 0;
  let good = 0;
  let bad = Number.POSITIVE_INFINITY;
  let failures = 0;
  let rate = start;
  for (let i = 0; i < attempts && bad - good > PRECISION * good; i++) {
    const result = attempt(rate);
    const isReached = result.sent >= rate * (1 - MAX_LAG);
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
  return lost < MAX_LOSS && received >= sent * (1 - MAX_LAG);
}
