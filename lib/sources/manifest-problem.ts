import { describeProblem, type Problem } from '../model/problem.js';

/** Where in the manifests an object stands. Numbers count from 1. */
export interface Place {
  readonly file: string;
  /** Absent where the file as a whole is meant. */
  readonly document?: number;
  /** Position in a `List`. */
  readonly item?: number;
}

/** A document, or a whole file, that is not served as it stands. */
export interface ManifestProblem extends Place, Problem {}

/** For people: `/etc/portals/web.yaml, document 2, item 1`. */
export function describePlace({ file, document, item }: Place): string {
  return [file, document && `document ${document}`, item && `item ${item}`].filter(Boolean).join(', ');
}

/** For people: the place and what is wrong there. */
export function describeManifestProblem(problem: ManifestProblem): string {
  return `${describePlace(problem)}: ${describeProblem(problem)}`;
}

/** The manifests cannot be read at all; the message says what to do. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
}
