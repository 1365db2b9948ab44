import { createHash } from 'node:crypto';

const PERIOD = 1 << 20;
const block = Buffer.alloc(2 * PERIOD);
for (let i = 0, state = 1; i < PERIOD; i++) {
  state = (Math.imul(state, 1664525) + 1013904223) | 0;
  block[i] = state >>> 24;
}
block.copy(block, PERIOD - 1, 0, PERIOD);

/**
 * Bytes of an endless pattern, which is the same in every program. The caller must not change them.
 * @param length at most 1 MiB
 */
export function patternAt(offset: number, length: number): Buffer {
  const start = offset % (PERIOD - 1);
  return block.subarray(start, start + Math.min(length, PERIOD));
}

/** Takes in a stream of bytes and tells how many and which. */
export class Digest {
  bytes = 0;
  readonly #hash = createHash('sha256');

  add(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#hash.update(chunk);
  }

  get hex(): string {
    return this.#hash.copy().digest('hex');
  }
}

/** SHA-256 of the pattern's first bytes as {@link chunks} yields them. */
export function patternDigest(bytes: number): string {
  const digest = new Digest();
  for (const chunk of chunks(bytes)) digest.add(chunk);
  return digest.hex;
}

/** The pattern's first bytes, piece by piece. */
export function* chunks(bytes: number, size = 1 << 18): Generator<Buffer> {
  for (let offset = 0; offset < bytes; offset += size)
    yield patternAt(offset, Math.min(size, bytes - offset));
}
