/**
 * The empty list that all objects share. Most lists of most objects are empty, and each new empty array costs
 * 32 bytes.
 */
export const NONE: readonly never[] = [];

/**
 * The same list in the least memory. An array that was filled step by step, as flatMap and filter do, keeps
 * room for up to 16 more elements.
 */
export function compact<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NONE : list.slice();
}
