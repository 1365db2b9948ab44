import { describeProblem, type Problem } from '../model/problem.js';

/** The place of an object in the manifests. Numbers count from 1. */
export interface Place {
  readonly file: string;
  /** Absent: the place is the whole file. */
  readonly document?: number;
  /** Position in a `List`. */
  readonly item?: number;
}

/** The reason why an object, a document or a file cannot be used. */
export interface ManifestProblem extends Place, Problem {}

/** Text for users: `/etc/portals/web.yaml, document 2, item 1`. */
export function describePlace({ file, document, item }: Place): string {
  return [file, document && `document ${document}`, item && `item ${item}`].filter(Boolean).join(', ');
}

/** Text for users: the place and the problem. */
export function describeManifestProblem(problem: ManifestProblem): string {
  return `${describePlace(problem)}: ${describeProblem(problem)}`;
}

/** A path of --manifest cannot be read. The message says what to do. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
}
