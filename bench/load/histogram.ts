/** Each power of two is divided into so many buckets: a value is known to about 1.5 %. */
const STEPS = 32;
const STEP_BITS = 5;
/** 2^31 ns are two seconds. */
const POWERS = 31;

/** Counts times in buckets that grow with the time, without a single allocation after the first. */
export class Histogram {
  count = 0;
  readonly #buckets = new Uint32Array(POWERS * STEPS);

  /** @param ns more than two seconds count as two seconds */
  add(ns: number): void {
    this.#buckets[bucketOf(Math.min(ns, 0x7fffffff) | 0)]++;
    this.count++;
  }

  clear(): void {
    this.#buckets.fill(0);
    this.count = 0;
  }

  /** The time, ns, that a share of all times does not exceed; 0 without any. @param share 0.99 for p99 */
  percentile(share: number): number {
    let left = Math.max(1, Math.ceil(this.count * share));
    for (let bucket = 0; bucket < this.#buckets.length; bucket++) {
      left -= this.#buckets[bucket];
      if (left <= 0) return middleOf(bucket);
    }
    return 0;
  }
}

/** Values below STEPS have a bucket each; above, the highest bits of a value say where it belongs. */
function bucketOf(ns: number): number {
  if (ns < STEPS) return ns;
  const shift = 31 - Math.clz32(ns) - STEP_BITS;
  return (shift << STEP_BITS) + (ns >> shift);
}

function middleOf(bucket: number): number {
  if (bucket < 2 * STEPS) return bucket;
  const shift = (bucket >> STEP_BITS) - 1;
  const lowest = (bucket - (shift << STEP_BITS)) * 2 ** shift;
  return lowest + 2 ** shift / 2;
}
