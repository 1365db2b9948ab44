import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { printable } from '../../model/printable.js';
import type { ApiClient } from './client.js';

/** Milliseconds until the same Event is sent again. API servers keep an Event for an hour. */
const REPEAT_MS = 3_600_000;
/** Sent Events that are remembered. Beyond, the oldest is forgotten and may be sent again. */
const MAX_REMEMBERED = 1_000;
/** So many Events may be sent at once, and one more after each REFILL_MS. Beyond, they are dropped. */
const BURST = 20;
const REFILL_MS = 10_000;
/** API servers refuse a longer note (NoteLengthLimit in their validation). */
const MAX_NOTE_BYTES = 1024;

/** The object that an Event is about. */
export interface EventSubject {
  readonly apiVersion: 'v1';
  readonly kind: 'Service' | 'Node';
  /** Absent: the object has none. Its Events are in the namespace `default`. */
  readonly namespace?: string;
  readonly name: string;
  /** `kubectl describe` finds the Events of an object by its uid. */
  readonly uid?: string;
}

/**
 * A Node as the kubelet names it in its own Events: its uid is its name, and `kubectl describe node` looks
 * for that.
 */
export function nodeSubject(name: string): EventSubject {
  return { apiVersion: 'v1', kind: 'Node', name, uid: name };
}

/**
 * Writes Events (events.k8s.io/v1) of type Warning, for the owner of an object. The same Event is sent at
 * most once an hour, and the number of all Events is limited, so that a broken node does not flood the API.
 * Nothing waits for an Event.
 */
export class EventRecorder {
  readonly #client: ApiClient;
  readonly #nodeName: string;
  readonly #log: Logger;
  readonly #sent = new LRUCache<string, true>({ max: MAX_REMEMBERED, ttl: REPEAT_MS });
  #tokens = BURST;
  #refilledAt = performance.now();

  constructor(client: ApiClient, nodeName: string, log: Logger) {
    this.#client = client;
    this.#nodeName = nodeName;
    this.#log = log;
  }

  /** @param reason one CamelCase word for machines */
  warn(subject: EventSubject, reason: string, note: string): void {
    const key = JSON.stringify([subject.kind, subject.namespace, subject.name, reason, note]);
    if (this.#sent.has(key) || !this.#takeToken()) return;
    this.#sent.set(key, true);
    const event = this.#event(subject, reason, note);
    this.#client
      .post(`/apis/events.k8s.io/v1/namespaces/${event.metadata.namespace}/events`, event)
      .then(() => this.#log.debug({ event: note }, 'wrote an Event for the owner of the object'))
      .catch((error: Error) => {
        this.#sent.delete(key);
        const failure = { event: note, reason: this.#client.redact(error.message) };
        this.#log.debug(failure, 'an Event could not be written');
      });
  }

  #takeToken(): boolean {
    const refills = Math.floor((performance.now() - this.#refilledAt) / REFILL_MS);
    this.#tokens = Math.min(BURST, this.#tokens + refills);
    this.#refilledAt += refills * REFILL_MS;
    if (this.#tokens === 0) return false;
    this.#tokens--;
    return true;
  }

  #event(subject: EventSubject, reason: string, note: string) {
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { namespace: subject.namespace ?? 'default', generateName: `${subject.name}-` },
      // A MicroTime has six digits after the point.
      eventTime: new Date().toISOString().replace('Z', '000Z'),
      type: 'Warning',
      reason,
      action: 'Proxy',
      note: printable(note, MAX_NOTE_BYTES),
      regarding: subject,
      reportingController: 'kube-portal',
      reportingInstance: this.#nodeName,
    };
  }
}
