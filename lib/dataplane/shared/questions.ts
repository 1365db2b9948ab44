import type { CarrierReasons, Forwarding } from './carrier.js';
import type { UsedEndpoints } from './endpoints.js';
import type { WorkerPortal } from './messages.js';
import type { ParticipantsPage, ParticipantsQuestion } from './participants.js';
import type { PinName, PinRecord, PinsPage, PinsQuestion } from './pins.js';
import type { SessionsPage, SessionsQuestion } from './sessions.js';

/** What the main thread may ask a worker, by topic, and what the worker answers. */
export interface Questions {
  /** Make one change of portals. The answer comes after the worker has made it. */
  apply: { readonly question: PortalChange; readonly answer: null };
  /** One page of the worker's TCP connections and UDP flows. */
  sessions: { readonly question: SessionsQuestion; readonly answer: SessionsPage };
  /** What the worker has counted of the endpoints of the portals with these ids. */
  endpoints: { readonly question: readonly number[]; readonly answer: readonly UsedEndpoints[] };
  /** One page of the DDS participants that the worker has heard of. */
  participants: { readonly question: ParticipantsQuestion; readonly answer: ParticipantsPage };
  /** One page of the worker's pins. */
  pins: { readonly question: PinsQuestion; readonly answer: PinsPage };
  /** Drop a client's pins. The answer is how many there were. */
  releasePins: { readonly question: Pick<PinName, 'service' | 'client'>; readonly answer: number };
  /** Take pins of an earlier run, in the order in which they end. */
  restorePins: { readonly question: readonly PinRecord[]; readonly answer: null };
  /** Open the queues and sockets by which the kernel carries, if they are not open. */
  openCarrier: { readonly question: null; readonly answer: CarrierReasons };
  /** Whether this node forwards. It comes before the first carriage, and whenever it has changed. */
  forwarding: { readonly question: Forwarding; readonly answer: null };
}

export type Topic = keyof Questions;
export type Question<T extends Topic> = Questions[T]['question'];
export type Answer<T extends Topic> = Questions[T]['answer'];

/** A question on its way to a worker. Each worker has its own ids: two workers may get the same one. */
export type Asked<T extends Topic = Topic> = {
  [Each in T]: {
    readonly type: 'ask';
    readonly id: number;
    readonly topic: Each;
    readonly question: Question<Each>;
  };
}[T];

/** A worker's answer to the question with this id, or the reason why there is none. */
export type Answered =
  | { readonly type: 'answer'; readonly id: number; readonly answer: Answer<Topic> }
  | { readonly type: 'noAnswer'; readonly id: number; readonly reason: string };

/**
 * The functions that answer in a worker. Each must answer within a few milliseconds: the worker relays
 * nothing meanwhile.
 */
export type Answerers = { readonly [T in Topic]: (question: Question<T>) => Answer<T> };

/** All portals that change together. Affinity must never see a Service that is updated in part. */
export interface PortalChange {
  readonly set: readonly WorkerPortal[];
  /** Ids of the portals to remove. */
  readonly remove: readonly number[];
}
