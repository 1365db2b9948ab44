import { objectKey, type Service } from './objects.js';

/** Something about one object that the user must know or correct. The other objects are still served. */
export interface Problem {
  /** Kind and `namespace/name`, for example `Service default/web`. */
  readonly object: string;
  /**
   * Path of the field inside the object, for example `spec.ports[1].port`; absent if the problem is about the
   * whole object.
   */
  readonly field?: string;
  readonly message: string;
}

/** A value that was left out of an object, and the reason. */
export type Refusal = Required<Omit<Problem, 'object'>>;

/** One line for people: `Service default/web: spec.ports[1].port: 70000 is not a port (1-65535)`. */
export function describeProblem({ object, field, message }: Problem): string {
  return field === undefined ? `${object}: ${message}` : `${object}: ${field}: ${message}`;
}

/**
 * The problems in `now` that are not in `before`, so that each is reported once. Problems with the same
 * `describe` text are the same problem.
 */
export function freshProblems<P extends Problem>(
  now: readonly P[],
  before: readonly P[],
  describe: (problem: P) => string = describeProblem,
): P[] {
  const known = new Set(before.map(describe));
  return now.filter((problem) => !known.has(describe(problem)));
}

/** A problem with one field of a Service. */
export function serviceProblem(service: Service, field: string, message: string): Problem {
  return { object: `Service ${objectKey(service)}`, field, message };
}
