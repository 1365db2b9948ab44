/** A time with one decimal place: tenths of a millisecond are enough, and short in JSON. */
export function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
