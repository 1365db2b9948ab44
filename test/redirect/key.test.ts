import fc from 'fast-check';
import t from 'tap';
import { decodeKey, keyOfBytes } from '../../lib/redirect/key.js';

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

t.test('a key is decoded to the address, protocol and port that it was made of', async (t) => {
  const address = fc.oneof(bytesOf(4), bytesOf(16));
  const protocol = fc.constantFrom('TCP' as const, 'UDP' as const);
  fc.assert(
    fc.property(address, protocol, fc.nat(65535), (address, protocol, port) => {
      t.same(decodeKey(keyOfBytes(address, protocol, port)), { address, protocol, port });
    }),
  );
});
