import type { LinkCourse } from './links.js';
import { isAnswered } from './observation.js';
import type { Gap } from './result.js';
import { tenths } from './tenths.js';

/**
 * The longest time without an answer that a link had in one stage.
 * @param stage index of the stage
 * @param startMs from when on the stage could have had answers
 */
export function longestGap(course: LinkCourse, stage: number, startMs: number): Gap {
  const observations = course.observations.filter((observation) => observation.stage === stage);
  let [from, at, longestMs, ended] = [startMs, startMs, 0, true];
  const take = (to: number, isAnswer: boolean) => {
    if (to - from > longestMs) [at, longestMs, ended] = [tenths(from), tenths(to - from), isAnswer];
  };
  for (const answer of observations.filter(isAnswered)) {
    const answeredMs = answer.atMs + answer.tookMs;
    take(answeredMs, true);
    from = answeredMs;
  }
  const last = observations.at(-1);
  if (last?.backend === null) take(last.atMs + last.tookMs, false);
  const unanswered = observations.filter(({ backend }) => backend === null).length;
  return { client: course.client, port: course.port, longestMs, atMs: at, ended, unanswered };
}
