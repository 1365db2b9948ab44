/**
 * HalfSipHash-1-3 (Aumasson and Bernstein) over 32-bit words. Linux uses it where strangers choose the hashed
 * values (Documentation/security/siphash.rst): nobody without the key can find flows that fall into one
 * bucket.
 *
 * @param key two random words
 * @param words at least `count` of them
 * @returns a signed 32-bit hash
 */
export function sipHash(key: Int32Array, words: Int32Array, count: number): number {
  let v0 = key[0];
  let v1 = key[1];
  let v2 = key[0] ^ 0x6c796765;
  let v3 = key[1] ^ 0x74656462;
  // One round for each word, one for the length, three to finish. One loop body for all of them: a function
  // for a round would have to return four values.
  for (let round = 0; round < count + 4; round++) {
    const word = round < count ? words[round] : round === count ? (count * 4) << 24 : 0;
    if (round === count + 1) v2 ^= 0xff;
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = rotate(v1, 5) ^ v0;
    v0 = rotate(v0, 16);
    v2 = (v2 + v3) | 0;
    v3 = rotate(v3, 8) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = rotate(v3, 7) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = rotate(v1, 13) ^ v2;
    v2 = rotate(v2, 16);
    v0 ^= word;
  }
  return v1 ^ v3;
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
