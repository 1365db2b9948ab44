import { setTimeout as sleep } from 'node:timers/promises';

const FIRST_MS = 500;
const GROWTH = 1.5;
/** An attempt without a connection costs the server nothing, so attempts are frequent. */
const MOST_UNREACHABLE_MS = 1_500;
/** A server that answers with errors does work for each attempt, and a thousand nodes may try. */
const MOST_REFUSED_MS = 15_000;

export interface Failure {
  /** The server gave no answer at all: nobody listens, or the connection broke. */
  readonly isUnreachable: boolean;
  /** The server asks to stay away so long, ms. */
  readonly retryAfterMs?: number;
}

/** Waits between attempts: longer each time, and at random, so that nodes do not all retry together. */
export class Backoff {
  #next = FIRST_MS;
  #wasUnreachable = false;

  /** It worked; the next failure is a first one. */
  reset(): void {
    this.#next = FIRST_MS;
  }

  /** Resolves when it is time to try again, at once if aborted. */
  async wait(signal: AbortSignal, failure: Failure): Promise<void> {
    await sleep(this.takeMs(failure), undefined, { signal }).catch(() => undefined);
  }

  /**
   * How long to wait after this failure, ms. Errors of a server that was away before are those of its start,
   * and first ones.
   */
  takeMs({ isUnreachable, retryAfterMs = 0 }: Failure): number {
    if (this.#wasUnreachable && !isUnreachable) this.reset();
    this.#wasUnreachable = isUnreachable;
    const time = Math.min(this.#next, isUnreachable ? MOST_UNREACHABLE_MS : MOST_REFUSED_MS);
    this.#next = time * GROWTH;
    return Math.max(retryAfterMs, time * (0.5 + Math.random() / 2));
  }
}
