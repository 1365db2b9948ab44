import fc from 'fast-check';
import t from 'tap';
import { addressText } from '../../lib/net/address.js';
import { AF_INET, AF_INET6 } from '../../lib/sys/constants.js';
import { SOCKADDR_IN_SIZE, SOCKADDR_IN6_SIZE, SocketAddress } from '../../lib/sys/sockaddr.js';

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

t.test('socket addresses hold what was set, of one family and then the other', async (t) => {
  const port = fc.integer({ min: 0, max: 65535 });
  const reused = new SocketAddress();
  fc.assert(
    fc.property(fc.oneof(bytesOf(4), bytesOf(16)), port, (bytes, port) => {
      const text = addressText(bytes);
      const isV4 = bytes.length === 4;
      for (const address of [SocketAddress.of(text, port), reused.set(text, port)]) {
        t.same(
          [address.family, address.address, address.port, address.length],
          isV4 ? [AF_INET, text, port, SOCKADDR_IN_SIZE] : [AF_INET6, text, port, SOCKADDR_IN6_SIZE],
        );
      }
      t.same(
        reused.memory.bytes,
        SocketAddress.of(text, port).memory.bytes,
        'nothing is left of the one before',
      );
    }),
  );
});
