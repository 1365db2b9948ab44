import type { Link } from './observation.js';

/** What was asked for on the command line, after names became addresses and `auto` became kinds. */
export interface Asked {
  /** The VIP. */
  readonly address: string;
  /** `namespace/name` if the Service was given by name. */
  readonly service: string | null;
  /** How many endpoints the API server says are ready. Null if the Service was given by address. */
  readonly endpoints: number | null;
  readonly ports: readonly AskedPort[];
  readonly clients: readonly string[];
  /** Rounds of each stage of rounds. */
  readonly rounds: number;
  readonly expect: Affinity;
}

/** A port, and how its backends are told apart. */
export interface AskedPort {
  /** As in `80/tcp`. */
  readonly port: string;
  /** For example `http` or `dns`. */
  readonly identify: string;
}

/** The values of a Service's `sessionAffinity`. */
export type Affinity = 'ClientIP' | 'None';

/**
 * What one run found out: the answer of `kube-portal affinity -o json`. Times are milliseconds since
 * `startedAt`, unless a name says otherwise.
 */
export interface AffinityResult {
  /** Of this record. A change that a reader must know raises it. */
  readonly version: 1;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly tookMs: number;
  readonly asked: Asked;
  /** All backends that answered, in alphabetical order. */
  readonly backends: readonly string[];
  /** Other names of these backends, under which some ports know them. */
  readonly aliases: readonly Alias[];
  /** In the order of time. Rounds come first and last, with the events between them. */
  readonly stages: readonly Stage[];
  /** Each client × each port, in the order of `asked`. */
  readonly links: readonly LinkResult[];
  /** In the order of time. */
  readonly moves: readonly Move[];
  /** Null unless it was asked for. */
  readonly timeout: Timeout | null;
  readonly verdict: Verdict;
}

/** A name that is used by some ports only, and the name of the same backend that is used in the result. */
export interface Alias {
  readonly alias: string;
  readonly backend: string;
}

export type Stage = RoundsStage | EventStage;

/** Each client asks each port once in a round, in shuffled order, while nothing else happens. */
export interface RoundsStage {
  readonly kind: 'rounds';
  readonly startMs: number;
  readonly endMs: number;
  /** Clients that met several backends at a time. */
  readonly split: readonly SplitClient[];
  /** Backends that answered in this stage, in alphabetical order. */
  readonly distribution: readonly Share[];
  readonly repeats: Repeats;
}

/** A command runs while every link is probed at a steady pace. */
export interface EventStage {
  readonly kind: 'event';
  readonly command: string;
  readonly startMs: number;
  /** Links are probed for a moment before the command starts, and after it has ended. */
  readonly commandStartMs: number;
  readonly commandEndMs: number;
  readonly endMs: number;
  /** Null if a signal ended the command. */
  readonly exitCode: number | null;
  /** Time between two probes of a link. No gap can be seen that is shorter. */
  readonly intervalMs: number;
  /** Each client × each port, in the order of `asked`. */
  readonly gaps: readonly Gap[];
}

/** The longest time without an answer that a link had in an event. */
export interface Gap extends Link {
  /** From one answer to the next. If no answer came any more: to the last probe. */
  readonly longestMs: number;
  /** Start of that time. */
  readonly atMs: number;
  /** Whether an answer came after it. */
  readonly ended: boolean;
  /** Probes without an answer, in the whole event. */
  readonly unanswered: number;
}

/**
 * A client that met a backend again after it had met another one: on the same port, or because its ports have
 * different backends. A client that went from one backend to another for good is not split: it moved.
 */
export interface SplitClient {
  readonly client: string;
  /** In the order of `asked`, without ports that never answered. */
  readonly ports: readonly { readonly port: string; readonly backends: readonly string[] }[];
}

/** What one backend had in a stage of rounds. */
export interface Share {
  readonly backend: string;
  /** Clients whose last answer came from it. */
  readonly clients: number;
  /** What `clients` would be if all backends had as many. */
  readonly evenClients: number;
  readonly answers: number;
  readonly evenAnswers: number;
}

/** How often a link met the same backend as with its question before. */
export interface Repeats {
  /** Answers that have an answer of the same link before them, in the same stage. */
  readonly pairs: number;
  readonly same: number;
  /** What `same` would be, on average, if each question went to any backend. */
  readonly byChance: number;
}

/** A client × a port: one row of the matrix, and its course. */
export interface LinkResult extends Link {
  /** Backend → answers. */
  readonly met: Readonly<Record<string, number>>;
  readonly unanswered: number;
  /** Reason → how often. */
  readonly errors: Readonly<Record<string, number>>;
  /** Questions in a row with the same backend, or with none. In the order of time. */
  readonly runs: readonly Run[];
}

export interface Run {
  readonly fromMs: number;
  readonly toMs: number;
  /** Null: no answer. */
  readonly backend: string | null;
  readonly questions: number;
}

/** A link met another backend than with its answer before. */
export interface Move extends Link {
  /** When the question was sent that met the other backend. */
  readonly atMs: number;
  /** Index of the stage of that question. */
  readonly stage: number;
  readonly from: string;
  readonly to: string;
  /**
   * Whether the backend that was left answered a question that was sent later than the other backend's answer
   * came. If so, its end did not force the move.
   */
  readonly fromAnswersLater: boolean;
}

/** The time after which an idle client loses its backend, as measured. */
export interface Timeout {
  readonly port: string;
  /** The longest pause after which no client had moved. 0 if some moved after the shortest pause. */
  readonly keptMs: number;
  /** The shortest pause after which a client had moved. Null if none moved after the longest pause. */
  readonly movedMs: number | null;
  /** In the order of time. */
  readonly trials: readonly Trial[];
}

/** Clients that asked once, waited, and asked again. */
export interface Trial {
  /** All of them paused at least so long. If some moved: one of these paused at most so long. */
  readonly pauseMs: number;
  readonly clients: number;
  /** How many of them met another backend. */
  readonly moved: number;
}

export interface Verdict {
  readonly found: Found;
  readonly outcome: Outcome;
  /** Sentences for people: what was found, and what makes it unexpected or not measured. */
  readonly reasons: readonly string[];
}

/** The affinity that the answers show. `mixed`: some clients keep their backend, some do not. */
export type Found = 'ClientIP' | 'ClientIP per port' | 'None' | 'mixed' | 'unknown';

export type Outcome = 'as expected' | 'not as expected' | 'not measured';
