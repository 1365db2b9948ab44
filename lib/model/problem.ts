import { objectKey, type Service } from './objects.js';

/**
 * Something about one object that the user has to know or mend. The other objects are served all the same.
 */
export interface Problem {
  /** Kind and `namespace/name`, for example `Service default/web`. */
  readonly object: string;
  /**
   * Path of the field inside the object, for example `spec.ports[1].port`; absent if the whole object is
   * meant.
   */
  readonly field?: string;
  readonly message: string;
}

/** A value that was left out of an object, and why. */
export type Refusal = Required<Omit<Problem, 'object'>>;

/** One line for people: `Service default/web: spec.ports[1].port: 70000 is not a port (1-65535)`. */
export function describeProblem({ object, field, message }: Problem): string {
  return field === undefined ? `${object}: ${message}` : `${object}: ${field}: ${message}`;
}

/**
 * The problems of `now` that were not there `before`, so that each is told once. `describe` tells them apart.
 */
export function freshProblems<P extends Problem>(
  now: readonly P[],
  before: readonly P[],
  describe: (problem: P) => string = describeProblem,
): P[] {
  const known = new Set(before.map(describe));
  return now.filter((problem) => !known.has(describe(problem)));
}

/** Something about one field of a Service. */
export function serviceProblem(service: Service, field: string, message: string): Problem {
  return { object: `Service ${objectKey(service)}`, field, message };
}
