import type { Contender, Running } from './contenders.js';
import { cpuSeconds, foreignCpuSeconds } from './cpu.js';
import type { Row } from './rows.js';
import { Stage } from './stage.js';

/** One measurement. */
export interface Sample {
  readonly row: string;
  readonly contender: string;
  readonly round: number;
  /** In the row's own unit of amount. */
  readonly perSecond: number;
  /** CPU seconds of the proxy's processes for one unit of amount; null where the kernel does all. */
  readonly cpuPerUnit: number | null;
  readonly losses: number;
  /** Cores that other programs of this machine, or other guests of its host, took in the meantime. */
  readonly disturbance: number;
}

/** A measurement with more disturbance than this, in cores, is repeated, and does not count beside quiet ones. */
export const QUIET = 0.1;

export interface Course {
  readonly rows: readonly Row[];
  readonly contenders: readonly Contender[];
  readonly rounds: number;
  /** Seconds before counting begins, for each measurement. */
  readonly warmup: number;
  /** Seconds that count, for each measurement. */
  readonly duration: number;
  /** How often a disturbed measurement is tried. */
  readonly attempts: number;
}

/**
 * Measures every contender once in each round, the order turned by one from round to round, so that what changes on the
 * machine in the meantime meets all of them.
 */
export async function runCourse(course: Course, say: (progress: string) => void): Promise<Sample[]> {
  const { contenders, rounds } = course;
  const samples: Sample[] = [];
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < contenders.length; i++) {
      const contender = contenders[(i + round) % contenders.length];
      say(`round ${round + 1} of ${rounds}: ${contender.title}`);
      samples.push(...(await measureContender(course, contender, round)));
    }
  }
  return samples;
}

async function measureContender(course: Course, contender: Contender, round: number): Promise<Sample[]> {
  const rows = course.rows.filter((row) => contender.runs(row));
  if (rows.length === 0) return [];
  const stage = await Stage.open();
  try {
    const running = await contender.start(stage);
    const scene = { course, stage, running, contender: contender.id, round };
    const samples: Sample[] = [];
    try {
      for (const row of rows) samples.push(await measureInPeace(scene, row));
    } finally {
      await running.stop();
    }
    return samples;
  } finally {
    await stage.close();
  }
}

/** Measures until nobody disturbs it, or takes the least disturbed of a few attempts. */
async function measureInPeace(scene: Scene, row: Row): Promise<Sample> {
  let best = await measure(scene, row);
  for (let attempt = 1; attempt < scene.course.attempts && best.disturbance > QUIET; attempt++) {
    const next = await measure(scene, row);
    if (next.disturbance < best.disturbance) best = next;
  }
  return best;
}

interface Scene {
  readonly course: Course;
  readonly stage: Stage;
  readonly running: Running;
  readonly contender: string;
  readonly round: number;
}

async function measure({ course, stage, running, contender, round }: Scene, row: Row): Promise<Sample> {
  const { address, pid } = running;
  const { warmup, duration } = course;
  const { work, port } = row;
  const start = performance.now();
  const foreignBefore = foreignCpuSeconds();
  const cpuBefore = pid === null ? 0 : cpuSeconds(pid);
  const { amount, seconds, total, losses } = await stage.load({ work, address, port, warmup, duration });
  const cpuPerUnit = pid === null ? null : (cpuSeconds(pid) - cpuBefore) / total;
  const elapsed = (performance.now() - start) / 1000;
  const disturbance = (foreignCpuSeconds() - foreignBefore) / elapsed;
  return { row: row.id, contender, round, perSecond: amount / seconds, cpuPerUnit, losses, disturbance };
}
