import { findAliases, withoutAliases } from './aliases.js';
import { distributionOf, repeatsOf } from './distribution.js';
import { longestGap } from './gaps.js';
import { coursesOf, type LinkCourse, linkResult } from './links.js';
import { movesOf } from './moves.js';
import { type Answered, isAnswered, type Observation } from './observation.js';
import type { AffinityResult, Asked, EventStage, RoundsStage, Stage, Timeout } from './result.js';
import { backendsOf, splitClients } from './splits.js';
import { verdictOf } from './verdict.js';

/** A stage as it was carried out, before its observations are looked at. */
export type StageRecord = Pick<RoundsStage, 'kind' | 'startMs' | 'endMs'> | Omit<EventStage, 'gaps'>;

/** All that a run of the tester brings home. Times are milliseconds since `startedAt`. */
export interface RunRecord {
  /** RFC 3339. */
  readonly startedAt: string;
  readonly tookMs: number;
  readonly asked: Asked;
  readonly stages: readonly StageRecord[];
  /** In any order. Those of the measured time-out are not among them. */
  readonly observations: readonly Observation[];
  readonly timeout: Timeout | null;
}

/** Finds out of the observations of a run what became of its sessions. */
export function analyse({ asked, observations, stages: records, ...rest }: RunRecord): AffinityResult {
  const ports = asked.ports.map(({ port }) => port);
  const ofRounds = observations.filter(({ stage }) => records[stage]?.kind === 'rounds');
  const aliases = findAliases(ofRounds, asked.ports);
  const inTime = withoutAliases(observations, aliases).toSorted((one, other) => one.atMs - other.atMs);
  const links = asked.clients.flatMap((client) => ports.map((port) => ({ client, port })));
  const courses = coursesOf(links, inTime);
  const answers = records.map((_, index) => answersOf(inTime, index));
  const stages = records.map((record, index) =>
    record.kind === 'rounds'
      ? roundsStage(record, answers[index] ?? [], ports)
      : eventStage(record, courses, index),
  );
  const findings = {
    version: 1 as const,
    ...rest,
    asked,
    backends: backendsOf(answers.flat()),
    aliases,
    stages,
    links: courses.map(linkResult),
    moves: movesOf(courses),
  };
  return { ...findings, verdict: verdictOf(findings, answers) };
}

function answersOf(observations: readonly Observation[], stage: number): Answered[] {
  return observations.filter(isAnswered).filter((answer) => answer.stage === stage);
}

function roundsStage(
  record: Extract<StageRecord, { kind: 'rounds' }>,
  answers: readonly Answered[],
  ports: readonly string[],
): Stage {
  const split = splitClients(answers, ports);
  return { ...record, split, distribution: distributionOf(answers), repeats: repeatsOf(answers) };
}

function eventStage(
  record: Extract<StageRecord, { kind: 'event' }>,
  courses: readonly LinkCourse[],
  index: number,
): Stage {
  return { ...record, gaps: courses.map((course) => longestGap(course, index, record.startMs)) };
}
