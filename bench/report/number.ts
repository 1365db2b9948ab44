/** A figure as people read it: three digits, or all before the point. */
export function show(value: number): string {
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toString();
  return value.toFixed(size >= 10 ? 1 : 2);
}
