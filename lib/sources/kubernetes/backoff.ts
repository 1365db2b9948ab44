import { setTimeout as sleep } from 'node:timers/promises';

const FIRST_DELAY_MS = 500;
const GROWTH = 1.5;
/** Short, because an attempt without a connection costs the server nothing. */
const MAX_UNREACHABLE_DELAY_MS = 1_500;
/** Long, because the server works for each attempt that it refuses, and a thousand nodes may try. */
const MAX_REFUSED_DELAY_MS = 15_000;

export interface Failure {
  /** The server gave no answer: nothing listens, or the connection broke. */
  readonly isUnreachable: boolean;
  /** Milliseconds that the server asks to wait. */
  readonly retryAfterMs?: number;
}

/**
 * Delays between attempts. They grow, and they are random, so that the nodes do not all retry at one moment.
 */
export class Backoff {
  #delayMs = FIRST_DELAY_MS;
  #wasUnreachable = false;

  /** After an attempt that worked. The next failure gets the first delay again. */
  reset(): void {
    this.#delayMs = FIRST_DELAY_MS;
  }

  /** Resolves when it is time for the next attempt, or when `signal` aborts. */
  async wait(signal: AbortSignal, failure: Failure): Promise<void> {
    await sleep(this.nextDelayMs(failure), undefined, { signal }).catch(() => undefined);
  }

  /**
   * Milliseconds to wait after this failure. If the server was unreachable and now refuses, it is starting,
   * so the delays start again from the first.
   */
  nextDelayMs({ isUnreachable, retryAfterMs = 0 }: Failure): number {
    if (this.#wasUnreachable && !isUnreachable) this.reset();
    this.#wasUnreachable = isUnreachable;
    const maxMs = isUnreachable ? MAX_UNREACHABLE_DELAY_MS : MAX_REFUSED_DELAY_MS;
    const delayMs = Math.min(this.#delayMs, maxMs);
    this.#delayMs = delayMs * GROWTH;
    return Math.max(retryAfterMs, delayMs * (0.5 + Math.random() / 2));
  }
}
