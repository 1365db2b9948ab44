/*
 * Reads numbers in either byte order. The callers know that what they ask for lies inside the message, so a
 * byte beyond the block, which reads as 0, is never asked for.
 */

export function u16At(bytes: Uint8Array, at: number, isLittle: boolean): number {
  const first = bytes[at] ?? 0;
  const second = bytes[at + 1] ?? 0;
  return isLittle ? first | (second << 8) : (first << 8) | second;
}

export function u32At(bytes: Uint8Array, at: number, isLittle: boolean): number {
  const first = u16At(bytes, at, isLittle);
  const second = u16At(bytes, at + 2, isLittle);
  return (isLittle ? (second << 16) | first : (first << 16) | second) >>> 0;
}
