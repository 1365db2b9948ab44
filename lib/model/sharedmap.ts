/** Up to this number of entries, a map is one shard and keeps the order of insertion. */
const MAX_IN_ONE_SHARD = 64;
/**
 * The number of shards of a large map. A change copies one shard and the list of shards, which have about the
 * same length at 10,000 entries. It is a prime number: with a power of two, names that differ in a number
 * only would fill some shards and leave others empty.
 */
const SHARD_COUNT = 127;

/** New values by key. Undefined removes the entry. */
export type Replacements<T> = ReadonlyMap<string, T | undefined>;

/**
 * A map that never changes. {@link with} makes a new map that shares most shards with this one. So a change
 * among many thousand entries does not copy them all, and the difference of two versions is found without
 * comparing them all.
 *
 * The shards depend on the entries only, so two maps with equal entries are equal, even if their entries came
 * in another order.
 */
export class SharedMap<T> implements ReadonlyMap<string, T> {
  readonly size: number;

  // Not `#shards`: isDeepStrictEqual would not look into it, and take all maps of one size for equal.
  private constructor(private readonly shards: readonly ReadonlyMap<string, T>[]) {
    this.size = sizeOf(shards);
  }

  static empty<T>(): SharedMap<T> {
    return new SharedMap<T>([new Map()]);
  }

  /** This map with the replacements. The same object (`===`) if it has these values already. */
  with(replacements: Replacements<T>): SharedMap<T> {
    const shards = withReplaced(this.shards, replacements);
    return shards === this.shards ? this : new SharedMap(resharded(shards));
  }

  /** The parts in which the two maps may differ: pairs of one part from each map, for the same keys. */
  differingParts(other: SharedMap<T>): [ReadonlyMap<string, T>, ReadonlyMap<string, T>][] {
    if (this.shards.length !== other.shards.length) return [[this, other]];
    return this.shards.flatMap((shard, index) => {
      const counterpart = other.shards[index];
      return counterpart === undefined || counterpart === shard ? [] : [[shard, counterpart]];
    });
  }

  get(key: string): T | undefined {
    return shardOf(this.shards, key).get(key);
  }

  has(key: string): boolean {
    return shardOf(this.shards, key).has(key);
  }

  *entries(): Generator<[string, T], undefined> {
    for (const shard of this.shards) yield* shard.entries();
  }

  *keys(): Generator<string, undefined> {
    for (const shard of this.shards) yield* shard.keys();
  }

  *values(): Generator<T, undefined> {
    for (const shard of this.shards) yield* shard.values();
  }

  [Symbol.iterator](): Generator<[string, T], undefined> {
    return this.entries();
  }

  forEach(visit: (value: T, key: string, map: ReadonlyMap<string, T>) => void): void {
    for (const [key, value] of this) visit(value, key, this);
  }
}

/** The shards, with a copy for each shard that changes. The same array if none changes. */
function withReplaced<T>(
  shards: readonly ReadonlyMap<string, T>[],
  replacements: Replacements<T>,
): readonly ReadonlyMap<string, T>[] {
  const copies = new Map<number, Map<string, T>>();
  for (const [key, value] of replacements) {
    const index = indexOf(key, shards.length);
    const shard = copies.get(index) ?? shardOf(shards, key);
    if (shard.get(key) === value) continue;
    const copy = copies.get(index) ?? new Map(shard);
    copies.set(index, copy);
    if (value === undefined) copy.delete(key);
    else copy.set(key, value);
  }
  return copies.size === 0 ? shards : shards.map((shard, index) => copies.get(index) ?? shard);
}

/** The same entries in the number of shards that fits their count. */
function resharded<T>(shards: readonly ReadonlyMap<string, T>[]): readonly ReadonlyMap<string, T>[] {
  const count = sizeOf(shards) <= MAX_IN_ONE_SHARD ? 1 : SHARD_COUNT;
  if (shards.length === count) return shards;
  const result = Array.from({ length: count }, () => new Map<string, T>());
  for (const shard of shards) {
    for (const [key, value] of shard) result[indexOf(key, count)]?.set(key, value);
  }
  return result;
}

function shardOf<T>(shards: readonly ReadonlyMap<string, T>[], key: string): ReadonlyMap<string, T> {
  return shards[indexOf(key, shards.length)] ?? new Map();
}

/** The hash of Java's strings (String.hashCode). */
function indexOf(key: string, count: number): number {
  if (count === 1) return 0;
  let hash = 0;
  for (let at = 0; at < key.length; at++) hash = (Math.imul(hash, 31) + key.charCodeAt(at)) | 0;
  return (hash >>> 0) % count;
}

function sizeOf(shards: readonly ReadonlyMap<string, unknown>[]): number {
  return shards.reduce((size, shard) => size + shard.size, 0);
}
