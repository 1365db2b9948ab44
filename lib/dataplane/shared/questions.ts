import type { WorkerPortal } from './messages.js';
import type { SessionsPage, SessionsQuestion } from './sessions.js';

/** What the main thread may ask a worker, by topic, and what the worker answers. */
export interface Questions {
  /** Make one change of portals. The answer comes once the worker has made it. */
  apply: { readonly question: PortalChange; readonly answer: null };
  /** One page of the worker's TCP connections and UDP flows. */
  sessions: { readonly question: SessionsQuestion; readonly answer: SessionsPage };
}

export type Topic = keyof Questions;
export type Question<T extends Topic> = Questions[T]['question'];
export type Answer<T extends Topic> = Questions[T]['answer'];

/** A question on its way to a worker. The id is the worker's own: another worker may get the same one. */
export type Asked<T extends Topic = Topic> = {
  [Each in T]: {
    readonly type: 'ask';
    readonly id: number;
    readonly topic: Each;
    readonly question: Question<Each>;
  };
}[T];

/** A worker's answer to the question with this id, or why it has none. */
export type Answered =
  | { readonly type: 'answer'; readonly id: number; readonly answer: Answer<Topic> }
  | { readonly type: 'noAnswer'; readonly id: number; readonly reason: string };

/**
 * Who answers in a worker. Each answers at once and in a few milliseconds: the worker relays nothing
 * meanwhile.
 */
export type Answerers = { readonly [T in Topic]: (question: Question<T>) => Answer<T> };

/** All portals of one change at once: affinity must never see a Service half updated. */
export interface PortalChange {
  readonly set: readonly WorkerPortal[];
  /** Ids of the portals that go. */
  readonly remove: readonly number[];
}
