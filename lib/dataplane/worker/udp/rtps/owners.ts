import { u32At } from '../../../../rtps/bytes.js';
import { sipHash } from '../siphash.js';

/** So many participants of a Service are remembered; beyond it the one that was learned first goes. */
export const MOST_OWNERS = 1024;
/** What was learned about a participant is believed for this long, ms. It is learned again meanwhile. */
export const BELIEF = 180_000;
const PREFIX_WORDS = 3;

/** A participant, by the three words of its GUID prefix, and the endpoint that it lives at. */
interface Owned {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly endpoint: string;
  readonly until: number;
}

/**
 * Which endpoint of a Service has which RTPS participant, over all ports of the Service. A place in a
 * datagram stands for the prefix, as it is looked up for every datagram. Times are milliseconds of the loop's
 * clock.
 */
export class Owners {
  /** By a hash that strangers cannot choose: of two prefixes with the same one, the later stays. */
  readonly #owned = new Map<number, Owned>();
  /** Endpoints that have said which participant they have, and until when that is believed: in this order. */
  readonly #identified = new Map<string, number>();
  readonly #key = crypto.getRandomValues(new Int32Array(2));
  readonly #words = new Int32Array(PREFIX_WORDS);

  get size(): number {
    return this.#owned.size;
  }

  /** The endpoint (its id) that has the participant whose prefix begins at byte `at`; null if unknown. */
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

  /** An endpoint has the participant whose prefix begins at byte `at`. */
  learn(bytes: Uint8Array, at: number, endpoint: string, now: number): void {
    const hash = this.#hash(bytes, at);
    const [a, b, c] = this.#words;
    this.#owned.delete(hash);
    this.#owned.set(hash, { a, b, c, endpoint, until: now + BELIEF });
    if (this.#owned.size > MOST_OWNERS) this.#owned.delete(this.#owned.keys().next().value as number);
  }

  /** The same, and the endpoint itself has said so. */
  identify(bytes: Uint8Array, at: number, endpoint: string, now: number): void {
    this.learn(bytes, at, endpoint, now);
    this.#identified.delete(endpoint);
    this.#identified.set(endpoint, now + BELIEF);
    for (const [earlier, until] of this.#identified) {
      if (until > now) break;
      this.#identified.delete(earlier);
    }
  }

  /** Whether the endpoint has said which participant it has. */
  isIdentified(endpoint: string, now: number): boolean {
    return now < (this.#identified.get(endpoint) ?? 0);
  }

  #hash(bytes: Uint8Array, at: number): number {
    for (let word = 0; word < PREFIX_WORDS; word++) {
      this.#words[word] = u32At(bytes, at + 4 * word, true);
    }
    return sipHash(this.#key, this.#words, PREFIX_WORDS);
  }
}
