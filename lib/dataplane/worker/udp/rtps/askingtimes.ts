/** An endpoint that has answered is asked again after this time, ms: its participant may be another one. */
export const ASK_AGAIN = 90_000;
/** The same if a client has named a participant since, and no endpoint is known to have it. */
export const ASK_FOR_STRANGER = 5_000;
/** An endpoint that does not answer is asked again after this time, ms, twice that, and so on. */
export const FIRST_PAUSE = 2_000;

/** When an endpoint was asked, and how often since it last answered. */
interface Asked {
  readonly at: number;
  readonly inVain: number;
}

/** When each endpoint of a Service may be asked which participant it has. Times are the loop's, ms. */
export class AskingTimes {
  /** By endpoint id, in the order of their times. */
  readonly #asked = new Map<string, Asked>();

  get size(): number {
    return this.#asked.size;
  }

  /** @param strangerMetAt when a client last named a participant that no endpoint is known to have */
  isDue(endpoint: string, strangerMetAt: number, now: number): boolean {
    const asked = this.#asked.get(endpoint);
    return asked === undefined || now >= asked.at + pauseAfter(asked, strangerMetAt);
  }

  asked(endpoint: string, now: number): void {
    const inVain = (this.#asked.get(endpoint)?.inVain ?? 0) + 1;
    this.#set(endpoint, { at: now, inVain });
    for (const [earlier, { at }] of this.#asked) {
      // Those that are still there have been asked again by now.
      if (now - at <= 2 * ASK_AGAIN) break;
      this.#asked.delete(earlier);
    }
  }

  answered(endpoint: string, now: number): void {
    this.#set(endpoint, { at: now, inVain: 0 });
  }

  #set(endpoint: string, asked: Asked): void {
    this.#asked.delete(endpoint);
    this.#asked.set(endpoint, asked);
  }
}

function pauseAfter({ at, inVain }: Asked, strangerMetAt: number): number {
  if (inVain === 0) return strangerMetAt > at ? ASK_FOR_STRANGER : ASK_AGAIN;
  return Math.min(FIRST_PAUSE * 2 ** (inVain - 1), ASK_AGAIN);
}
