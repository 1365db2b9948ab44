import { analyse, type RunRecord, type StageRecord } from '../../lib/affinity/analysis.js';
import type { Link, Observation } from '../../lib/affinity/observation.js';
import type { AffinityResult } from '../../lib/affinity/result.js';

/** What one link met, a character for each round: the name of a backend, or `.` for no answer. */
export type Course = Link & { readonly met: string };

export const ROUNDS: StageRecord = { kind: 'rounds', startMs: 0, endMs: 10_000 };

/** An event of which the observations are those of stage 1. */
export const EVENT = {
  kind: 'event',
  command: 'kill',
  startMs: 1000,
  commandStartMs: 1050,
  commandEndMs: 1100,
  endMs: 2000,
  exitCode: 0,
  intervalMs: 100,
} as const;

/** The observations of links that are asked one after the other, the rounds 100 ms apart. */
export function observe(courses: readonly Course[], stage = 0, startMs = 0): Observation[] {
  return courses.flatMap(({ client, port, met }, place) =>
    [...met].map((backend, round): Observation => {
      const question = { atMs: startMs + round * 100 + place, tookMs: 1, stage, round, client, port };
      if (backend === '.') return { ...question, backend: null, error: 'no answer' };
      return { ...question, backend, error: null };
    }),
  );
}

/** The record of a run whose clients and ports are those of the observations. */
export function recordOf(
  observations: readonly Observation[],
  more: Partial<Omit<RunRecord, 'asked'>> & { readonly asked?: Partial<RunRecord['asked']> } = {},
): RunRecord {
  const distinct = (values: readonly string[]) => [...new Set(values)];
  return {
    startedAt: '2026-01-01T00:00:00.000Z',
    tookMs: 10_000,
    stages: [ROUNDS],
    observations,
    timeout: null,
    ...more,
    asked: {
      address: '10.96.0.10',
      service: null,
      endpoints: null,
      ports: distinct(observations.map(({ port }) => port)).map((port) => ({ port, identify: 'echo' })),
      clients: distinct(observations.map(({ client }) => client)),
      rounds: 10,
      expect: 'ClientIP',
      ...more.asked,
    },
  };
}

export function resultOf(
  courses: readonly Course[],
  more: Parameters<typeof recordOf>[1] = {},
): AffinityResult {
  return analyse(recordOf(observe(courses), more));
}
