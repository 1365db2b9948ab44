import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { printable } from '../../model/printable.js';
import type { ApiClient } from './client.js';

/** API servers keep an Event for an hour; the same one is not sent again before. */
const REPEAT_MS = 3_600_000;
const REMEMBERED = 1_000;
/** So many Events at once, and one more every so many ms. */
const BURST = 20;
const REFILL_MS = 10_000;
/** A longer note is refused (NoteLengthLimit of the API server's validation). */
const MAX_NOTE_BYTES = 1024;

/** The object that an Event is about. */
export interface EventSubject {
  readonly apiVersion: 'v1';
  readonly kind: 'Service';
  readonly namespace: string;
  readonly name: string;
  /** `kubectl describe` finds an object's Events by it. */
  readonly uid?: string;
}

/**
 * Writes Events (events.k8s.io/v1) of type Warning, for what the owner of an object should know. Each is sent
 * once an hour at most, and all together in a trickle: a broken node must not flood the API.
 * None is ever waited for.
 */
export class EventRecorder {
  readonly #client: ApiClient;
  readonly #nodeName: string;
  readonly #log: Logger;
  readonly #sent = new LRUCache<string, true>({ max: REMEMBERED, ttl: REPEAT_MS });
  #tokens = BURST;
  #refilled = performance.now();

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
      .then(() => this.#log.debug({ event: note }, 'told the owner by an Event'))
      .catch((error: Error) => {
        this.#sent.delete(key);
        this.#log.debug(
          { event: note, reason: this.#client.tellable(error.message) },
          'an Event could not be written',
        );
      });
  }

  #takeToken(): boolean {
    const now = performance.now();
    const refill = Math.floor((now - this.#refilled) / REFILL_MS);
    this.#tokens = Math.min(BURST, this.#tokens + refill);
    this.#refilled += refill * REFILL_MS;
    if (this.#tokens === 0) return false;
    this.#tokens--;
    return true;
  }

  #event(subject: EventSubject, reason: string, note: string) {
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { namespace: subject.namespace, generateName: `${subject.name}-` },
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
