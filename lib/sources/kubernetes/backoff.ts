import { setTimeout as sleep } from 'node:timers/promises';

const FIRST_MS = 500;
/** Long enough for a server that comes back to a thousand nodes, short enough for changes made meanwhile. */
const MOST_MS = 15_000;

/** Waits between tries: longer each time, and spread at random so that nodes do not come back in step. */
export class Backoff {
  #next = FIRST_MS;

  /** It worked; the next failure is a first one. */
  reset(): void {
    this.#next = FIRST_MS;
  }

  /** Resolves when it is time to try again, at once if aborted. @param atLeastMs what the server asked for */
  async wait(signal: AbortSignal, atLeastMs = 0): Promise<void> {
    const time = Math.max(atLeastMs, this.#next * (0.5 + Math.random() / 2));
    this.#next = Math.min(MOST_MS, this.#next * 2);
    await sleep(time, undefined, { signal }).catch(() => undefined);
  }
}
