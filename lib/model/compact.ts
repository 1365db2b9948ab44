/** The one empty list. Most lists of most objects are empty, and an empty array of its own costs 32 bytes. */
export const NONE: readonly never[] = [];

/**
 * The list in as little memory as it can have: an array that was filled step by step, as flatMap and filter
 * do it, has room for 16 more elements.
 */
export function compact<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NONE : list.slice();
}
