/** Buckets for each power of two. A value is known to about 1.5 %. */
const STEPS = 32;
const STEP_BITS = 5;
/** Powers of two. 2^31 ns are two seconds. */
const POWERS = 31;

/** Counts times in buckets. A bucket for longer times is wider. To add a time allocates nothing. */
export class Histogram {
  count = 0;
  readonly #buckets = new Uint32Array(POWERS * STEPS);

  /** @param ns a time above two seconds counts as two seconds */
  add(ns: number): void {
    this.#buckets[bucketOf(Math.min(ns, 0x7fffffff) | 0)]++;
    this.count++;
  }

  clear(): void {
    this.#buckets.fill(0);
    this.count = 0;
  }

  /** The time that a share of all times does not exceed, ns. 0 without times. @param share 0.99 for p99 */
  percentile(share: number): number {
    let left = Math.max(1, Math.ceil(this.count * share));
    for (let bucket = 0; bucket < this.#buckets.length; bucket++) {
      left -= this.#buckets[bucket];
      if (left <= 0) return middleOf(bucket);
    }
    return 0;
  }
}

/** Each value below STEPS has its own bucket. For other values, the highest bits give the bucket. */
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
