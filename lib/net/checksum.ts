/*
 * The checksum of IP, TCP, UDP and ICMP (RFC 1071): the sum of 16-bit words, where a carry counts as 1. Since
 * 2^16 counts as 1, words of 32 bits have the same sum, and adding them takes half the time. At most
 * 2^46 comes together in the largest packet, so a number of JavaScript has it exactly.
 */

/**
 * Adds up bytes. Sums of several blocks may be added to each other, if all but the last have an even length.
 * @returns below 2^46 for up to 64 KiB
 */
export function sumOfBytes(view: DataView, at: number, length: number): number {
  const wordsEnd = at + (length & ~3);
  let sum = 0;
  let next = at;
  for (; next < wordsEnd; next += 4) sum += view.getUint32(next);
  if ((length & 2) !== 0) {
    sum += view.getUint16(next);
    next += 2;
  }
  return (length & 1) === 0 ? sum : sum + view.getUint8(next) * 256;
}

/**
 * The checksum for a sum that was made with a checksum of 0.
 * @returns 1 to 0xffff: 0xffff takes the place of 0, which receivers take for the same and which means "no
 *   checksum" in UDP (RFC 768)
 */
export function checksumOf(sum: number): number {
  return 0xffff - (sum % 0xffff);
}

/**
 * The checksum after bytes under it have changed (RFC 1624).
 * @param added the sum of the new bytes less that of the old ones
 * @returns as {@link checksumOf}
 */
export function changedChecksum(checksum: number, added: number): number {
  return checksumOf(0xffff - checksum + (added % 0xffff) + 0xffff);
}
