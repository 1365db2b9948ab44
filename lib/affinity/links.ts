import { countBy, groupBy } from './grouping.js';
import { isAnswered, type Link, type Observation } from './observation.js';
import type { LinkResult, Run } from './result.js';

/** What one link saw, in the order of time. */
export interface LinkCourse extends Link {
  readonly observations: readonly Observation[];
}

/** The course of each link, in the order of `links`. @param observations in the order of time */
export function coursesOf(links: readonly Link[], observations: readonly Observation[]): LinkCourse[] {
  const byLink = groupBy(observations, linkKey);
  return links.map((link) => ({ ...link, observations: byLink.get(linkKey(link)) ?? [] }));
}

/** Tells a link from the others, as a text. */
export function linkKey({ client, port }: Link): string {
  return `${client} ${port}`;
}

export function linkResult({ client, port, observations }: LinkCourse): LinkResult {
  const answered = observations.filter(isAnswered);
  const unanswered = observations.filter((observation) => observation.backend === null);
  return {
    client,
    port,
    met: countBy(answered, ({ backend }) => backend),
    unanswered: unanswered.length,
    errors: countBy(unanswered, ({ error }) => error),
    runs: runsOf(observations),
  };
}

function runsOf(observations: readonly Observation[]): Run[] {
  const runs: Run[] = [];
  for (const { atMs, backend } of observations) {
    const last = runs.at(-1);
    if (last !== undefined && last.backend === backend)
      runs[runs.length - 1] = { ...last, toMs: atMs, questions: last.questions + 1 };
    else runs.push({ fromMs: atMs, toMs: atMs, backend, questions: 1 });
  }
  return runs;
}
