import type { Link, Observation } from '../observation.js';
import type { DialectOptions } from './identify/dialects.js';
import type { Kind, ServicePort } from './identify/kinds.js';

/** What the thread that asks is started with. */
export interface ClientSetup extends DialectOptions {
  /** Start of the run, by process.hrtime(), ns. All threads have this clock. */
  readonly startNs: bigint;
  /**
   * Addresses to ask from, in a network namespace that is made for them. Null: the address that this machine
   * uses towards the Service.
   */
  readonly clients: readonly string[] | null;
  /** How long an answer is waited for, ms. */
  readonly patienceMs: number;
}

/** A kind of question that was tried, and why it told no backend. */
export interface Attempt {
  readonly kind: Kind;
  readonly error: string;
}

/** What the main thread can ask for. */
export interface Tasks {
  /** Finds the first kind that makes a backend tell its name, and uses it for the port from now on. */
  identify(question: {
    readonly port: ServicePort;
    readonly kinds: readonly Kind[];
  }): Promise<{ readonly kind: Kind | null; readonly attempts: readonly Attempt[] }>;
  /** Asks once over each link, in shuffled order. */
  askEach(question: {
    readonly stage: number;
    readonly round: number;
    readonly links: readonly Link[];
  }): Promise<Observation[]>;
  /** Begins to ask over each link at a steady pace. */
  beginSteady(question: {
    readonly stage: number;
    readonly intervalMs: number;
    readonly links: readonly Link[];
  }): Promise<void>;
  /** Ends what `beginSteady` has begun, and gives what it has seen. */
  endSteady(question: null): Promise<Observation[]>;
}

export type TaskName = keyof Tasks;

/** A task that the main thread sends. */
export interface Task {
  readonly id: number;
  readonly name: TaskName;
  readonly question: unknown;
}

/** What the thread answers. `ready` comes first, unless the thread ends with an error. */
export type FromClients =
  | { readonly type: 'ready'; readonly clients: readonly string[] }
  | { readonly type: 'done'; readonly id: number; readonly answer: unknown }
  | { readonly type: 'failed'; readonly id: number; readonly reason: string };
