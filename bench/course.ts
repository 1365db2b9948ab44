import type { Contender } from './contenders/contender.js';
import { foreignCpuSeconds } from './cpu.js';
import type { Span } from './load/plan.js';
import type { Values } from './rows/figure.js';
import type { Row } from './rows/row.js';
import { Turn } from './turn.js';

/** One measurement. */
export interface Sample {
  readonly row: string;
  readonly contender: string;
  readonly round: number;
  readonly values: Values;
  /** Cores that other programs of this machine, or other guests of its host, took in the meantime. */
  readonly disturbance: number;
}

/** A measurement with more disturbance than this, in cores, is repeated, and does not count beside quiet ones. */
export const QUIET = 0.1;

export interface Course {
  readonly rows: readonly Row[];
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  /** Of each measurement. */
  readonly span: Span;
  /** How often a disturbed measurement is tried. */
  readonly attempts: number;
}

export interface Outcome {
  readonly samples: readonly Sample[];
  /** What could not be measured, and why, a line each. */
  readonly failures: readonly string[];
}

/**
 * Measures every contender once in each round, the order turned by one from round to round, so that what changes on the
 * machine in the meantime meets all of them. A failure costs no more than the one measurement.
 */
export async function runCourse(course: Course, say: (progress: string) => void): Promise<Outcome> {
  const { contenders, rounds } = course;
  const samples: Sample[] = [];
  const failures: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const first = round % contenders.length;
    for (const contender of [...contenders.slice(first), ...contenders.slice(0, first)]) {
      const fail = (row: Row, reason: string) => failures.push(`${row.id} of ${contender.id}: ${reason}`);
      say(`round ${round + 1} of ${rounds}: ${contender.title}`);
      samples.push(...(await measureContender(course, contender, round, fail)));
    }
  }
  return { samples, failures };
}

async function measureContender(
  course: Course,
  contender: Contender,
  round: number,
  fail: (row: Row, reason: string) => void,
): Promise<Sample[]> {
  const turn = new Turn(contender, course.span);
  const samples: Sample[] = [];
  for (const row of course.rows) {
    if (!row.suits(contender) || (row.once && round > 0)) continue;
    try {
      const measured = await measureInPeace(turn, row, course.attempts);
      samples.push({ row: row.id, contender: contender.id, round, ...measured });
    } catch (error) {
      fail(row, firstLineOf(error));
    }
  }
  await turn.end();
  return samples;
}

/** What follows in a failed program's message is its log. */
function firstLineOf(error: unknown): string {
  return (error as Error).message.replace(/\n.*/s, '');
}

type Measured = Pick<Sample, 'values' | 'disturbance'>;

/** Measures until nobody disturbs it, at most so often, or takes the least disturbed of a few attempts. */
async function measureInPeace(turn: Turn, row: Row, attempts: number): Promise<Measured> {
  let best = await measure(turn, row);
  for (let attempt = 1; attempt < attempts && best.disturbance > QUIET; attempt++) {
    const next = await measure(turn, row);
    if (next.disturbance < best.disturbance) best = next;
  }
  return best;
}

async function measure(turn: Turn, row: Row): Promise<Measured> {
  const start = performance.now();
  const foreignBefore = foreignCpuSeconds();
  const values = await row.measure(turn);
  const elapsed = (performance.now() - start) / 1000;
  return { values, disturbance: (foreignCpuSeconds() - foreignBefore) / elapsed };
}
