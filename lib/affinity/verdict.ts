import { groupBy } from './grouping.js';
import type { Answered } from './observation.js';
import type { AffinityResult, Found, RoundsStage, Verdict } from './result.js';
import { backendsOf } from './splits.js';

/** All of a result but its verdict. */
export type Findings = Omit<AffinityResult, 'verdict'>;

/** What the stages of rounds say. Events and pauses move sessions for reasons of their own. */
interface Evidence {
  readonly findings: Findings;
  readonly stages: readonly RoundsStage[];
  /** Answers of each stage of rounds, in the order of time. */
  readonly answers: readonly (readonly Answered[])[];
}

/** Compares what was found with what was expected. @param answers of each stage, in the order of time */
export function verdictOf(findings: Findings, answers: readonly (readonly Answered[])[]): Verdict {
  const isRounds = (_: unknown, index: number) => findings.stages[index]?.kind === 'rounds';
  const evidence: Evidence = {
    findings,
    stages: findings.stages.filter((stage) => stage.kind === 'rounds'),
    answers: answers.filter(isRounds),
  };
  const unknown = whyUnknown(evidence);
  if (unknown !== null) return { found: 'unknown', outcome: 'not measured', reasons: [unknown] };
  const found = foundIn(evidence);
  const reasons = [describe(found), ...faultsIn(evidence)];
  const { expect } = findings.asked;
  const isExpected = found === expect && silentLinks(findings) === 0;
  return { found, outcome: isExpected ? 'as expected' : 'not as expected', reasons };
}

function whyUnknown({ findings: { asked, links }, answers }: Evidence): string | null {
  const all = answers.flat();
  if (all.length === 0) {
    const errors = [...new Set(links.flatMap((link) => Object.keys(link.errors)))].sort();
    return `No backend was recognized${errors.length > 0 ? ` (${errors.join(', ')})` : ''}.`;
  }
  const answersOfLink = groupBy(all, ({ client, port }) => `${client} ${port}`);
  if ([...answersOfLink.values()].every(({ length }) => length < 2))
    return 'No link was answered twice: give more rounds with --rounds.';
  const backends = backendsOf(all);
  if (backends.length === 1 && !(asked.endpoints !== null && asked.endpoints > 1))
    return `Only ${backends[0]} answered. With one backend, affinity cannot be seen.`;
  return null;
}

function foundIn({ stages, answers }: Evidence): Found {
  const keeps = (keyOf: (answer: Answered) => string) =>
    answers.every((stage) =>
      [...groupBy(stage, keyOf).values()].every((own) => backendsOf(own).length === 1),
    );
  if (keeps(({ client }) => client)) return 'ClientIP';
  if (keeps(({ client, port }) => `${client} ${port}`)) return 'ClientIP per port';
  const [pairs, same, byChance] = (['pairs', 'same', 'byChance'] as const).map((name) =>
    stages.reduce((sum, { repeats }) => sum + repeats[name], 0),
  ) as [number, number, number];
  return same <= (pairs + byChance) / 2 ? 'None' : 'mixed';
}

function describe(found: Found): string {
  switch (found) {
    case 'ClientIP':
      return 'Each client has one backend on all ports.';
    case 'ClientIP per port':
      return 'Each client has one backend on each port, but not the same on all ports.';
    case 'None':
      return 'Clients have no backend of their own.';
    default:
      return 'Some clients keep their backend and some do not.';
  }
}

function faultsIn({ findings, stages, answers }: Evidence): string[] {
  // Names were taken to be equal wherever they could be, so there may be more.
  const least = findings.aliases.length > 0 ? 'At least ' : '';
  const faults = stages
    .filter(({ split }) => split.length > 0)
    .map((stage) => {
      const after = findings.stages.indexOf(stage) === 0 ? '' : ' after the event';
      const clients = findings.asked.clients.length;
      return `${least}${stage.split.length} of ${clients} clients met several backends at a time${after}.`;
    });
  const strayed = strayedClients(stages, answers);
  if (strayed.size > 0) faults.push(`${strayed.size} clients moved while nothing was done.`);
  const silent = silentLinks(findings);
  if (silent > 0) faults.push(`${silent} of ${findings.links.length} links never had an answer.`);
  return faults;
}

/** Clients that went from one backend to another for good, within one stage. */
function strayedClients(stages: readonly RoundsStage[], answers: Evidence['answers']): Set<string> {
  const strayed = stages.flatMap(({ split }, index) => {
    const isSplit = new Set(split.map(({ client }) => client));
    return [...groupBy(answers[index] ?? [], ({ client }) => client)]
      .filter(([client, own]) => !isSplit.has(client) && backendsOf(own).length > 1)
      .map(([client]) => client);
  });
  return new Set(strayed);
}

function silentLinks({ links }: Findings): number {
  return links.filter(({ met }) => Object.keys(met).length === 0).length;
}
