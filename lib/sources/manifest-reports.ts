import type { Logger } from 'pino';
import { freshProblems } from '../model/problem.js';
import type { FileState } from './manifest-file.js';
import { describeManifestProblem, type ManifestProblem } from './manifest-problem.js';

/** Log lines for one read. If there is more to report, one more line says how much. */
const MAX_LINES = 100;

/** Logs the ignored kinds of each file, if they differ from those of `before`. */
export function reportIgnored(
  log: Logger,
  files: ReadonlyMap<string, FileState>,
  before: ReadonlyMap<string, FileState>,
): void {
  const fresh = [...files].filter(
    ([file, { ignored }]) => ignored.length > 0 && ignored.join() !== before.get(file)?.ignored.join(),
  );
  for (const [file, { ignored }] of fresh.slice(0, MAX_LINES)) {
    log.info({ file, kinds: ignored }, 'objects of these kinds are not used');
  }
  const more = fresh.length - MAX_LINES;
  if (more > 0) log.info({ more }, 'more files have objects of kinds that are not used');
}

/** Logs the problems that are not in `before`. */
export function reportProblems(
  log: Logger,
  problems: readonly ManifestProblem[],
  before: readonly ManifestProblem[],
): void {
  const fresh = freshProblems(problems, before, describeManifestProblem);
  for (const { message, ...where } of fresh.slice(0, MAX_LINES)) log.error(where, message);
  const more = fresh.length - MAX_LINES;
  if (more > 0) log.error({ more }, 'more documents cannot be used');
}
