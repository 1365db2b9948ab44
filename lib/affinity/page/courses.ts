import { groupBy } from '../grouping.js';
import { linkKey } from '../links.js';
import type { AffinityResult, Gap, LinkResult, Move, Stage } from '../result.js';

/** What the lanes of a client are drawn from. */
export interface ClientCourse {
  readonly client: string;
  readonly links: readonly MarkedLink[];
}

/** A link, and what of it is marked. */
export interface MarkedLink {
  readonly link: LinkResult;
  readonly moves: readonly Move[];
  /** Gaps that are longer than the questions lie apart. */
  readonly gaps: readonly Gap[];
}

/** A gap is marked if it is more than this many times as long as the time between two questions. */
const MARKED_GAP = 2;

/** The course of each client. Those to which something happened come first. */
export function clientCourses({ links, moves, stages }: AffinityResult): ClientCourse[] {
  const movesOf = groupBy(moves, linkKey);
  const gapsOf = groupBy(stages.flatMap(markedGaps), linkKey);
  const marked = links.map((link): MarkedLink => {
    const key = linkKey(link);
    return { link, moves: movesOf.get(key) ?? [], gaps: gapsOf.get(key) ?? [] };
  });
  const courses = [...groupBy(marked, ({ link }) => link.client)];
  return courses
    .map(([client, own]) => ({ client, links: own }))
    .toSorted((one, other) => Number(isEventful(other)) - Number(isEventful(one)));
}

function markedGaps(stage: Stage): readonly Gap[] {
  if (stage.kind !== 'event') return [];
  return stage.gaps.filter(({ longestMs }) => longestMs > MARKED_GAP * stage.intervalMs);
}

function isEventful({ links }: ClientCourse): boolean {
  return links.some(({ link, gaps }) => link.runs.length > 1 || gaps.length > 0);
}
