import type { Logger } from 'pino';
import { ApiError } from './api-error.js';
import type { ApiClient } from './client.js';

/** A trouble that goes on is told again after this, ms. */
const REMIND_MS = 60_000;

/**
 * Tells people about an API server that does not answer as it should: once, again every minute,
 * and when it is over.
 */
export class Outage {
  readonly #client: ApiClient;
  readonly #log: Logger;
  readonly #failing = new Set<string>();
  /** When what was told. */
  readonly #told = new Map<string, number>();
  /** A trouble was told and its end was not. */
  #isOpen = false;
  #consequence = 'waiting for it before anything is served';

  constructor(client: ApiClient, log: Logger) {
    this.#client = client;
    this.#log = log;
  }

  /** From now on there is a state to go on with. */
  stateIsKnown(): void {
    this.#consequence = 'what is in effect stays';
  }

  /** A collection cannot be had. Several of them fail for one reason, which is told once. */
  failed(resource: string, error: Error): void {
    this.#failing.add(resource);
    const about = error instanceof ApiError ? { resource } : {};
    const reason = this.#client.tellable(reasonOf(error));
    const trouble = { server: this.#client.server, ...about, reason };
    if (!this.#isDue(JSON.stringify(trouble))) return;
    this.#isOpen = true;
    this.#log.warn(trouble, `the API server does not answer as it should; ${this.#consequence}`);
  }

  working(resource: string): void {
    this.#failing.delete(resource);
    if (this.#failing.size > 0 || !this.#isOpen) return;
    this.#isOpen = false;
    this.#log.info({ server: this.#client.server }, 'the API server answers again');
  }

  #isDue(trouble: string): boolean {
    const now = Date.now();
    for (const [text, time] of this.#told) if (now - time >= REMIND_MS) this.#told.delete(text);
    if (this.#told.has(trouble)) return false;
    this.#told.set(trouble, now);
    return true;
  }
}

function reasonOf(error: Error): string {
  if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
    return `${error.message}; give this program's account the rights of deploy/rbac.yaml`;
  }
  // Node joins the failures of several addresses, and leaves the message of the whole empty.
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map((each: Error) => each.message).join(', ');
  }
  return error.message;
}
