import { addressAt, addressWords } from '../../../sys/sockaddrwords.js';
import { sipHash } from '../siphash.js';

const NOTHING = -1;
const FIRST_CAPACITY = 16;

/**
 * Finds a value by an address and a port of one IP family. It is asked for every new client, so it is a
 * chained hash over typed arrays that compares the kernel's own words, and makes no garbage.
 */
export class AddressTable<T> {
  readonly #isV6: boolean;
  /** Words of a key: an address, and a port. */
  readonly #width: number;
  readonly #hashKey = crypto.getRandomValues(new Int32Array(2));
  readonly #key: Int32Array;
  #keys: Int32Array;
  #chain: Int32Array;
  #buckets: Int32Array;
  #values: (T | undefined)[] = [];
  /** Places below it that are free, chained. */
  #free = NOTHING;

  constructor(isV6: boolean) {
    this.#isV6 = isV6;
    this.#width = addressWords(isV6) + 1;
    this.#key = new Int32Array(this.#width);
    this.#keys = new Int32Array(FIRST_CAPACITY * this.#width);
    this.#chain = new Int32Array(FIRST_CAPACITY);
    this.#buckets = new Int32Array(FIRST_CAPACITY).fill(NOTHING);
  }

  /**
   * @param sockaddr words of a sockaddr; its address counts, and not its port
   * @param at the word where the sockaddr begins
   * @returns undefined if there is none
   */
  find(sockaddr: Int32Array, at: number, port: number): T | undefined {
    this.#setKey(sockaddr, at, port);
    const place = this.#placeOf(this.#bucket());
    return place === NOTHING ? undefined : this.#values[place];
  }

  /** Adds a value, in the place of the one with the same address and port. */
  set(sockaddr: Int32Array, at: number, port: number, value: T): void {
    this.#setKey(sockaddr, at, port);
    const known = this.#placeOf(this.#bucket());
    if (known !== NOTHING) {
      this.#values[known] = value;
      return;
    }
    const place = this.#takePlace();
    const bucket = this.#bucket();
    this.#keys.set(this.#key, place * this.#width);
    this.#values[place] = value;
    this.#chain[place] = this.#buckets[bucket];
    this.#buckets[bucket] = place;
  }

  delete(sockaddr: Int32Array, at: number, port: number): void {
    this.#setKey(sockaddr, at, port);
    const bucket = this.#bucket();
    const place = this.#placeOf(bucket);
    if (place === NOTHING) return;
    if (this.#buckets[bucket] === place) this.#buckets[bucket] = this.#chain[place];
    else {
      let before = this.#buckets[bucket];
      while (this.#chain[before] !== place) before = this.#chain[before];
      this.#chain[before] = this.#chain[place];
    }
    this.#values[place] = undefined;
    this.#chain[place] = this.#free;
    this.#free = place;
  }

  #setKey(sockaddr: Int32Array, at: number, port: number): void {
    const address = addressAt(at, this.#isV6);
    for (let word = 1; word < this.#width; word++) this.#key[word] = sockaddr[address + word - 1];
    this.#key[0] = port;
  }

  #bucket(): number {
    return sipHash(this.#hashKey, this.#key, this.#width) & (this.#buckets.length - 1);
  }

  #placeOf(bucket: number): number {
    let place = this.#buckets[bucket];
    while (place !== NOTHING && !this.#hasKeyAt(place)) place = this.#chain[place];
    return place;
  }

  #hasKeyAt(place: number): boolean {
    const from = place * this.#width;
    for (let word = 0; word < this.#width; word++) {
      if (this.#keys[from + word] !== this.#key[word]) return false;
    }
    return true;
  }

  #takePlace(): number {
    const place = this.#free;
    if (place !== NOTHING) {
      this.#free = this.#chain[place];
      return place;
    }
    if (this.#values.length === this.#chain.length) this.#grow();
    return this.#values.push(undefined) - 1;
  }

  /** Only while no place is free, so that all places are chained by their buckets again. */
  #grow(): void {
    const key = this.#key.slice();
    const places = this.#values.length;
    const keys = this.#keys;
    this.#keys = new Int32Array(keys.length * 2);
    this.#keys.set(keys);
    this.#chain = new Int32Array(places * 2);
    this.#buckets = new Int32Array(places * 2).fill(NOTHING);
    for (let place = 0; place < places; place++) {
      this.#key.set(keys.subarray(place * this.#width, (place + 1) * this.#width));
      const bucket = this.#bucket();
      this.#chain[place] = this.#buckets[bucket];
      this.#buckets[bucket] = place;
    }
    this.#key.set(key);
  }
}
