import type { Logger } from 'pino';
import { ApiError } from './api-error.js';
import type { ApiClient } from './client.js';

/** Milliseconds until the same failure is logged again. */
const REPEAT_MS = 60_000;

/** Logs failures of the API server: each once, again every minute, and then that the server answers again. */
export class Outage {
  readonly #client: ApiClient;
  readonly #log: Logger;
  /** Collections whose last request failed. */
  readonly #failing = new Set<string>();
  /** When each failure was logged (Date.now), by its text. */
  readonly #loggedAt = new Map<string, number>();
  /** A failure was logged, and not yet its end. */
  #isLogged = false;
  #consequence = 'waiting for it before anything is served';

  constructor(client: ApiClient, log: Logger) {
    this.#client = client;
    this.#log = log;
  }

  /** All collections were listed. From now on, an outage leaves the last state in effect. */
  synced(): void {
    this.#consequence = 'the last Services and endpoints stay in effect';
  }

  /** A request for a collection failed. If several collections fail for one reason, it is logged once. */
  failed(resource: string, error: Error): void {
    this.#failing.add(resource);
    const about = error instanceof ApiError ? { resource } : {};
    const reason = this.#client.redact(describeError(error));
    const failure = { server: this.#client.server, ...about, reason };
    if (!this.#isDue(JSON.stringify(failure))) return;
    this.#isLogged = true;
    this.#log.warn(failure, `the API server does not answer as it should; ${this.#consequence}`);
  }

  /** A request for a collection was answered. */
  working(resource: string): void {
    this.#failing.delete(resource);
    if (this.#failing.size > 0 || !this.#isLogged) return;
    this.#isLogged = false;
    this.#log.info({ server: this.#client.server }, 'the API server answers again');
  }

  #isDue(failure: string): boolean {
    const now = Date.now();
    for (const [text, time] of this.#loggedAt) if (now - time >= REPEAT_MS) this.#loggedAt.delete(text);
    if (this.#loggedAt.has(failure)) return false;
    this.#loggedAt.set(failure, now);
    return true;
  }
}

function describeError(error: Error): string {
  if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
    return `${error.message}; give this program's account the rights of deploy/rbac.yaml`;
  }
  // If a name has several addresses and all fail, Node's error has an empty message.
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map((each: Error) => each.message).join(', ');
  }
  return error.message;
}
