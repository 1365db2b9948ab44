import fc from 'fast-check';
import t from 'tap';
import { checksumOf, sumOfBytes } from '../../lib/net/checksum.js';
import { isSound } from './sound.js';

function viewOf(bytes: ArrayLike<number>): DataView {
  return new DataView(Uint8Array.from(bytes).buffer);
}

/** RFC 1071 word by word: a carry comes in again at the lower end. */
function plainSum(bytes: ArrayLike<number>): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

t.test('the header in the example of RFC 1071, 3 has the sum that is given there', async (t) => {
  const bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
  t.equal(checksumOf(sumOfBytes(viewOf(bytes), 0, 8)), ~0xddf2 & 0xffff);
});

t.test('an IPv4 header of a real packet is sound, and damage to any bit of it shows', async (t) => {
  const header = Buffer.from('45000073000040004011b861c0a80001c0a800c7', 'hex');
  t.ok(isSound(sumOfBytes(viewOf(header), 0, header.length)));
  for (let bit = 0; bit < header.length * 8; bit++) {
    const damaged = Uint8Array.from(header);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    t.notOk(isSound(sumOfBytes(viewOf(damaged), 0, damaged.length)), `bit ${bit}`);
  }
});

t.test('the checksum of any bytes is that of RFC 1071, and makes them sound', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), fc.nat(7), (bytes, start) => {
      const view = viewOf([...new Array(start).fill(0xff), ...bytes, 0xff, 0xff, 0xff]);
      const sum = sumOfBytes(view, start, bytes.length);
      const checksum = checksumOf(sum);
      t.equal(checksum % 0xffff, (0xffff - plainSum(bytes)) % 0xffff);
      t.ok(checksum > 0 && checksum <= 0xffff);
      t.ok(isSound(sum + checksum));
    }),
  );
});

t.test('sums of two blocks are the sum of both, if the first has an even length', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(100), (bytes, half) => {
      const cut = Math.min(2 * half, bytes.length & ~1);
      const view = viewOf(bytes);
      const sum = sumOfBytes(view, 0, cut) + sumOfBytes(view, cut, bytes.length - cut);
      t.equal(checksumOf(sum), checksumOf(sumOfBytes(view, 0, bytes.length)));
    }),
  );
});

t.test('the largest packet, all ones, is added up without loss', async (t) => {
  const bytes = new Uint8Array(0xffff).fill(0xff);
  const sum = sumOfBytes(viewOf(bytes), 0, bytes.length);
  t.ok(sum < 2 ** 46);
  t.equal(checksumOf(sum), 0xff, 'all words but the last are 0xffff, and that is 0xff00');
});

t.test('no bytes have no sound sum', async (t) => {
  t.notOk(isSound(0));
  t.equal(checksumOf(0), 0xffff);
});
