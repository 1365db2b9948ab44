/** In the place of an entry: there is none. */
export const NO_ENTRY = -1;

/**
 * The buckets of a hash table whose entries are small numbers: places in the arrays of the owner, who keeps
 * and compares the keys. It consists of typed arrays, and makes no garbage.
 */
export class HashChains {
  #hashes: Int32Array;
  #next: Int32Array;
  #buckets: Int32Array;

  /** @param capacity all entries are below it */
  constructor(capacity: number) {
    this.#hashes = new Int32Array(capacity);
    this.#next = new Int32Array(capacity);
    this.#buckets = bucketsFor(capacity);
  }

  get capacity(): number {
    return this.#next.length;
  }

  /** The first entry with a hash, or NO_ENTRY. Its key may be another one. @param hash 32 bits, signed */
  first(hash: number): number {
    return this.#withHash(this.#buckets[hash & (this.#buckets.length - 1)], hash);
  }

  /** The next entry with the hash of this one, or NO_ENTRY. */
  after(entry: number): number {
    return this.#withHash(this.#next[entry], this.#hashes[entry]);
  }

  /** Adds an entry that is not there. */
  add(entry: number, hash: number): void {
    const bucket = hash & (this.#buckets.length - 1);
    this.#hashes[entry] = hash;
    this.#next[entry] = this.#buckets[bucket];
    this.#buckets[bucket] = entry;
  }

  /** Takes away an entry that is there. */
  delete(entry: number): void {
    const bucket = this.#hashes[entry] & (this.#buckets.length - 1);
    if (this.#buckets[bucket] === entry) {
      this.#buckets[bucket] = this.#next[entry];
      return;
    }
    let before = this.#buckets[bucket];
    while (this.#next[before] !== entry) before = this.#next[before];
    this.#next[before] = this.#next[entry];
  }

  /** Makes room for more entries. All entries below the present capacity must be there. */
  grow(capacity: number): void {
    const hashes = this.#hashes;
    this.#hashes = new Int32Array(capacity);
    this.#next = new Int32Array(capacity);
    this.#buckets = bucketsFor(capacity);
    for (let entry = 0; entry < hashes.length; entry++) this.add(entry, hashes[entry]);
  }

  #withHash(from: number, hash: number): number {
    let entry = from;
    while (entry !== NO_ENTRY && this.#hashes[entry] !== hash) entry = this.#next[entry];
    return entry;
  }
}

/** A power of two: nearly all chains then have one entry or none. */
function bucketsFor(capacity: number): Int32Array {
  return new Int32Array(2 ** Math.ceil(Math.log2(capacity * 2))).fill(NO_ENTRY);
}
