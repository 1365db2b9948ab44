import { addressAt, addressWords } from '../../../sys/sockaddrwords.js';
import { HashChains, NO_ENTRY } from '../hashchains.js';
import { sipHash } from '../siphash.js';

const FIRST_CAPACITY = 16;

/**
 * Finds a value by an address and a port of one IP family. It is asked for every new client, so it is a hash
 * table over typed arrays that compares the kernel's own words, and makes no garbage.
 */
export class AddressTable<T> {
  readonly #isV6: boolean;
  /** Words of a key: an address, and a port. */
  readonly #width: number;
  readonly #hashKey = crypto.getRandomValues(new Int32Array(2));
  readonly #key: Int32Array;
  #keys: Int32Array;
  readonly #chains = new HashChains(FIRST_CAPACITY);
  readonly #values: (T | undefined)[] = [];
  /** Places that are free. */
  readonly #free: number[] = [];

  constructor(isV6: boolean) {
    this.#isV6 = isV6;
    this.#width = addressWords(isV6) + 1;
    this.#key = new Int32Array(this.#width);
    this.#keys = new Int32Array(FIRST_CAPACITY * this.#width);
  }

  /**
   * @param sockaddr words of a sockaddr; its address counts, and not its port
   * @param at the word where the sockaddr begins
   * @returns undefined if there is none
   */
  find(sockaddr: Int32Array, at: number, port: number): T | undefined {
    this.#setKey(sockaddr, at, port);
    const place = this.#placeOf(this.#hash());
    return place === NO_ENTRY ? undefined : this.#values[place];
  }

  /** Adds a value, in the place of the one with the same address and port. */
  set(sockaddr: Int32Array, at: number, port: number, value: T): void {
    this.#setKey(sockaddr, at, port);
    const hash = this.#hash();
    let place = this.#placeOf(hash);
    if (place === NO_ENTRY) {
      place = this.#takePlace();
      this.#keys.set(this.#key, place * this.#width);
      this.#chains.add(place, hash);
    }
    this.#values[place] = value;
  }

  delete(sockaddr: Int32Array, at: number, port: number): void {
    this.#setKey(sockaddr, at, port);
    const place = this.#placeOf(this.#hash());
    if (place === NO_ENTRY) return;
    this.#chains.delete(place);
    this.#values[place] = undefined;
    this.#free.push(place);
  }

  #setKey(sockaddr: Int32Array, at: number, port: number): void {
    const address = addressAt(at, this.#isV6);
    for (let word = 1; word < this.#width; word++) this.#key[word] = sockaddr[address + word - 1];
    this.#key[0] = port;
  }

  #hash(): number {
    return sipHash(this.#hashKey, this.#key, this.#width);
  }

  #placeOf(hash: number): number {
    let place = this.#chains.first(hash);
    while (place !== NO_ENTRY && !this.#hasKeyAt(place)) place = this.#chains.after(place);
    return place;
  }

  #hasKeyAt(place: number): boolean {
    const from = place * this.#width;
    for (let word = 0; word < this.#width; word++) {
      if (this.#keys[from + word] !== this.#key[word]) return false;
    }
    return true;
  }

  /** Where no place is free, all are taken. */
  #takePlace(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#values.length === this.#chains.capacity) this.#grow();
    return this.#values.push(undefined) - 1;
  }

  #grow(): void {
    const keys = this.#keys;
    this.#keys = new Int32Array(keys.length * 2);
    this.#keys.set(keys);
    this.#chains.grow(this.#chains.capacity * 2);
  }
}
