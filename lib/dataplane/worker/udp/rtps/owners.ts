import { u32At } from '../../../../rtps/bytes.js';
import { sipHash } from '../../siphash.js';

/** Limit of participants of a Service. Beyond it, the one that was learned first is forgotten. */
export const MOST_OWNERS = 1024;
/** Milliseconds. What was learned about a participant is valid for this time, unless it is learned again. */
export const BELIEF = 180_000;
const PREFIX_WORDS = 3;

/** A participant, as the three words of its GUID prefix, and its endpoint. */
interface Owned {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly endpoint: string;
  /** Whether the endpoint has not said so itself. */
  readonly isGuess: boolean;
  readonly until: number;
}

/**
 * Knows which endpoint of a Service has which RTPS participant, over all ports of the Service. A look-up
 * happens for every datagram, so it takes the place of the prefix in the datagram. Times are milliseconds of
 * the loop's clock.
 */
export class Owners {
  /** By a hash that strangers cannot choose. Of two prefixes with the same hash, the later one stays. */
  readonly #owned = new Map<number, Owned>();
  /** Endpoints that have named their participant, each with the end of its validity, in this order. */
  readonly #identified = new Map<string, number>();
  readonly #key = crypto.getRandomValues(new Int32Array(2));
  readonly #words = new Int32Array(PREFIX_WORDS);

  get size(): number {
    return this.#owned.size;
  }

  /** The id of the endpoint that has the participant whose prefix begins at byte `at`; null if unknown. */
  find(bytes: Uint8Array, at: number, now: number): string | null {
    const hash = this.#hash(bytes, at);
    const owned = this.#owned.get(hash);
    if (owned === undefined) return null;
    const [a, b, c] = this.#words;
    if (owned.a !== a || owned.b !== b || owned.c !== c) return null;
    if (now < owned.until) return owned.endpoint;
    this.#owned.delete(hash);
    return null;
  }

  /**
   * Notes that a participant has sent from the address of an endpoint. Another program of a host network may
   * have that address too, so this holds only until the endpoint itself names its participant.
   * @param at the byte where the prefix begins
   */
  guess(bytes: Uint8Array, at: number, endpoint: string, now: number): void {
    this.#set(bytes, at, endpoint, true, now);
  }

  /** Notes that an endpoint has named its participant. @param at the byte where the prefix begins */
  learn(bytes: Uint8Array, at: number, endpoint: string, now: number): void {
    if (!this.isIdentified(endpoint, now)) this.#forgetGuesses(endpoint);
    this.#set(bytes, at, endpoint, false, now);
    this.#identified.delete(endpoint);
    this.#identified.set(endpoint, now + BELIEF);
    for (const [earlier, until] of this.#identified) {
      if (until > now) break;
      this.#identified.delete(earlier);
    }
  }

  /** Whether the endpoint has named its participant. */
  isIdentified(endpoint: string, now: number): boolean {
    return now < (this.#identified.get(endpoint) ?? 0);
  }

  #set(bytes: Uint8Array, at: number, endpoint: string, isGuess: boolean, now: number): void {
    const hash = this.#hash(bytes, at);
    const [a, b, c] = this.#words;
    this.#owned.delete(hash);
    this.#owned.set(hash, { a, b, c, endpoint, isGuess, until: now + BELIEF });
    if (this.#owned.size > MOST_OWNERS) this.#owned.delete(this.#owned.keys().next().value as number);
  }

  #forgetGuesses(endpoint: string): void {
    for (const [hash, owned] of this.#owned) {
      if (owned.isGuess && owned.endpoint === endpoint) this.#owned.delete(hash);
    }
  }

  #hash(bytes: Uint8Array, at: number): number {
    for (let word = 0; word < PREFIX_WORDS; word++) {
      this.#words[word] = u32At(bytes, at + 4 * word, true);
    }
    return sipHash(this.#key, this.#words, PREFIX_WORDS);
  }
}
