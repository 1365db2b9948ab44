import type { LinkCourse } from './links.js';
import { type Answered, isAnswered } from './observation.js';
import type { Move } from './result.js';

/** All moves of all links, in the order of time. */
export function movesOf(courses: readonly LinkCourse[]): Move[] {
  const lastQuestions = new Map<string, number>();
  for (const { observations } of courses) {
    for (const { atMs, backend } of observations.filter(isAnswered))
      lastQuestions.set(backend, Math.max(atMs, lastQuestions.get(backend) ?? 0));
  }
  return courses
    .flatMap(({ observations }) => changesOf(observations.filter(isAnswered)))
    .map(([before, now]) => ({
      ...{ client: now.client, port: now.port, atMs: now.atMs, stage: now.stage },
      from: before.backend,
      to: now.backend,
      fromAnswersLater: (lastQuestions.get(before.backend) ?? 0) > now.atMs + now.tookMs,
    }))
    .sort((one, other) => one.atMs - other.atMs);
}

/** Each two consecutive answers that came from different backends. */
function changesOf(answers: readonly Answered[]): [Answered, Answered][] {
  return answers.flatMap((now, index): [Answered, Answered][] => {
    const before = answers[index - 1];
    return before === undefined || before.backend === now.backend ? [] : [[before, now]];
  });
}
