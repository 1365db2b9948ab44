/** Whether a sum that was made with the checksum in its place shows no damage (RFC 1071). */
export function isSound(sum: number): boolean {
  return sum !== 0 && sum % 0xffff === 0;
}
