/** One question to a port of the Service, and who answered. */
interface Question {
  /** When it was sent, ms since the start of the run. */
  readonly atMs: number;
  /** Until the answer or the error, ms. */
  readonly tookMs: number;
  /** Index of the stage of the run in which it was sent. */
  readonly stage: number;
  /** From 0 in each stage. In a round each client asks each port once, in shuffled order. */
  readonly round: number;
  /** The address that it was sent from. */
  readonly client: string;
  /** As in `80/tcp`. */
  readonly port: string;
}

/** A question that a backend answered, and the backend's name. */
export interface Answered extends Question {
  readonly backend: string;
  readonly error: null;
}

/** A question that told no backend, and the reason: an errno such as `ECONNREFUSED`, or words. */
export interface Unanswered extends Question {
  readonly backend: null;
  readonly error: string;
}

export type Observation = Answered | Unanswered;

/** A client and a port: what a session is for an application. */
export interface Link {
  readonly client: string;
  readonly port: string;
}

export function isAnswered(observation: Observation): observation is Answered {
  return observation.backend !== null;
}
