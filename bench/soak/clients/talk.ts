/** Where a client of the soak goes. */
export interface SoakTarget {
  readonly address: string;
  readonly port: number;
  /** A second port of the same Service, for clients that use two. */
  readonly otherPort: number;
}

/**
 * Holds one conversation. Resolves to how often the client had to ask again, or how many answers it missed
 * without harm.
 * @param ends aborted when the soak ends: a long conversation comes to its end then
 * @throws Refusal for what is wrong for the client
 */
export type Talk = (target: SoakTarget, ends: AbortSignal) => Promise<number>;

/** What went wrong for a client. */
export class Refusal extends Error {
  /** @param wasOpen whether the endpoint had answered before: what it does then is no fault of a proxy's */
  constructor(
    message: string,
    readonly wasOpen: boolean,
  ) {
    super(message);
  }
}

/** The kinds of clients, by the name that the report has. */
export const KINDS = ['tcp-short', 'tcp-long', 'udp-lookup', 'udp-stream', 'dds'] as const;
export type Kind = (typeof KINDS)[number];

/** What the program of clients is told: so many conversations at a time of one kind. */
export interface ClientPlan {
  readonly kind: Kind;
  readonly targets: readonly SoakTarget[];
  readonly lanes: number;
}

export interface Failure {
  /** Date.now(). */
  readonly at: number;
  readonly target: string;
  readonly reason: string;
  readonly wasOpen: boolean;
}

/** A line of the program's output: what was done since the line before. */
export interface ClientReport {
  readonly done: number;
  readonly askedAgain: number;
  readonly failures: readonly Failure[];
}
