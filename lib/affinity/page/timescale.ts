import type { Stage } from '../result.js';

/** Width of a timeline in the units of its pictures, which stretch to the width of the page. */
export const TIMELINE_WIDTH = 1000;

/** Ticks at most on the axis. More would overlap on a phone. */
const MOST_TICKS = 6;

/** From milliseconds of the run to places in a timeline. */
export class TimeScale {
  readonly fromMs: number;
  readonly toMs: number;

  constructor(stages: readonly Pick<Stage, 'startMs' | 'endMs'>[]) {
    this.fromMs = stages[0]?.startMs ?? 0;
    this.toMs = Math.max(stages.at(-1)?.endMs ?? 0, this.fromMs + 1);
  }

  /** From 0 to {@link TIMELINE_WIDTH}. */
  x(ms: number): number {
    const inside = Math.min(Math.max(ms, this.fromMs), this.toMs);
    return ((inside - this.fromMs) / (this.toMs - this.fromMs)) * TIMELINE_WIDTH;
  }

  /** Round times in equal steps, ms. */
  ticks(): number[] {
    const step = roundStep((this.toMs - this.fromMs) / MOST_TICKS);
    const first = Math.ceil(this.fromMs / step) * step;
    const count = Math.floor((this.toMs - first) / step) + 1;
    return Array.from({ length: Math.max(0, count) }, (_, index) => first + index * step);
  }
}

/** The least of 1, 2 and 5 times a power of ten that is not below a number. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5].find((digit) => digit * power >= least) ?? 10);
}
