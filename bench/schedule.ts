import type { Contender } from './contenders/contender.js';
import { foreignSeconds, readForeignUse } from './cpu.js';
import type { Values } from './rows/figure.js';
import type { Row } from './rows/row.js';
import { type Times, Turn } from './turn.js';

/** One measurement. */
export interface Sample {
  readonly row: string;
  readonly contender: string;
  readonly round: number;
  readonly values: Values;
  /** Cores that other programs of this machine, or other guests of its host, used meanwhile. */
  readonly disturbance: number;
}

/** Cores. A measurement with more disturbance is repeated. It counts only if no quiet measurement exists. */
export const MAX_QUIET_DISTURBANCE = 0.1;

/** What is measured, and how often. */
export interface Schedule {
  readonly rows: readonly Row[];
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  readonly times: Times;
  /** How often a measurement is tried while it is disturbed. */
  readonly attempts: number;
}

export interface Outcome {
  readonly samples: readonly Sample[];
  /** What could not be measured, and why: one line each. */
  readonly failures: readonly string[];
}

/**
 * Measures every contender once in each round. Each round begins with the next contender, so that a change of
 * the machine meets all of them. A failure ends only its own measurement.
 */
export async function runSchedule(schedule: Schedule, say: (progress: string) => void): Promise<Outcome> {
  const { contenders, rounds } = schedule;
  const samples: Sample[] = [];
  const failures: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const first = round % contenders.length;
    for (const contender of [...contenders.slice(first), ...contenders.slice(0, first)]) {
      const fail = (row: Row, reason: string) => failures.push(`${row.id} of ${contender.id}: ${reason}`);
      say(`round ${round + 1} of ${rounds}: ${contender.title}`);
      samples.push(...(await measureContender(schedule, contender, round, fail)));
    }
  }
  return { samples, failures };
}

async function measureContender(
  schedule: Schedule,
  contender: Contender,
  round: number,
  fail: (row: Row, reason: string) => void,
): Promise<Sample[]> {
  const turn = new Turn(contender, schedule.times);
  const samples: Sample[] = [];
  for (const row of schedule.rows) {
    if (!row.suits(contender) || (row.isMeasuredOnce && round > 0)) continue;
    try {
      const measured = await measureUndisturbed(turn, row, schedule.attempts);
      samples.push({ row: row.id, contender: contender.id, round, ...measured });
    } catch (error) {
      fail(row, firstLineOf(error));
    }
  }
  await turn.end();
  return samples;
}

/** The other lines of a failed program's message are its log. */
function firstLineOf(error: unknown): string {
  return (error as Error).message.replace(/\n.*/s, '');
}

type Measured = Pick<Sample, 'values' | 'disturbance'>;

/** Measures until no other program disturbs it, or `attempts` times. @returns the least disturbed attempt */
async function measureUndisturbed(turn: Turn, row: Row, attempts: number): Promise<Measured> {
  let best = await measure(turn, row);
  for (let attempt = 1; attempt < attempts && best.disturbance > MAX_QUIET_DISTURBANCE; attempt++) {
    const next = await measure(turn, row);
    if (next.disturbance < best.disturbance) best = next;
  }
  return best;
}

async function measure(turn: Turn, row: Row): Promise<Measured> {
  const start = performance.now();
  const before = readForeignUse();
  const values = await row.measure(turn);
  const elapsed = (performance.now() - start) / 1000;
  return { values, disturbance: foreignSeconds(before, readForeignUse()) / elapsed };
}
