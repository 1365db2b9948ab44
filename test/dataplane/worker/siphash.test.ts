import t from 'tap';
import { sipHash } from '../../../lib/dataplane/worker/siphash.js';

t.test('the hash is HalfSipHash-1-3', async (t) => {
  const key = Int32Array.of(0x03020100, 0x07060504);
  const words = Int32Array.of(0x03020100, 0x07060504, 0x0b0a0908);
  const hashes = [0, 1, 2, 3].map((count) => (sipHash(key, words, count) >>> 0).toString(16));
  // From the authors' C code, with one and three rounds.
  t.same(hashes, ['5814c896', '7e059ea6', '577999b1', '6b28096c']);
});
