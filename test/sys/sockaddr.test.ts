import { isIPv6, SocketAddress as NodeSocketAddress } from 'node:net';
import fc from 'fast-check';
import t from 'tap';
import { AF_INET, AF_INET6 } from '../../lib/sys/constants.js';
import {
  addressBytes,
  addressText,
  SOCKADDR_IN_SIZE,
  SOCKADDR_IN6_SIZE,
  SocketAddress,
} from '../../lib/sys/sockaddr.js';

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
/** Addresses with runs of zeros, where the text forms get interesting. */
const sparseV6 = fc
  .array(fc.constantFrom(0, 0, 0, 1, 0xff, 0xabcd), { minLength: 8, maxLength: 8 })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255])));

t.test('addresses survive the way to text and back', async (t) => {
  fc.assert(
    fc.property(fc.oneof(bytesOf(4), bytesOf(16), sparseV6), (bytes) => {
      t.same(addressBytes(addressText(bytes)), [...bytes]);
    }),
    { numRuns: 300 },
  );
});

t.test('any spelling of an IPv6 address means the same bytes', async (t) => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      fc.pre(isIPv6(text));
      const canonical = addressText(addressBytes(text));
      t.ok(isIPv6(canonical), canonical);
      t.same(addressBytes(canonical), addressBytes(text));
      const parsed = new NodeSocketAddress({ address: text, family: 'ipv6' }).address;
      t.same(addressBytes(parsed), addressBytes(text), 'as the C library reads it');
    }),
    { numRuns: 300 },
  );
});

t.test('text is as RFC 5952 wants it', async (t) => {
  for (const [given, canonical] of [
    ['::', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
    ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['192.0.2.1', '192.0.2.1'],
  ]) {
    t.equal(addressText(addressBytes(given)), canonical, given);
  }
});

t.test('what is no address is refused by name', async (t) => {
  for (const text of [
    '',
    'example.org',
    '1.2.3',
    '1.2.3.256',
    '1::2::3',
    '01.2.3.4',
    '[::1]',
    '1:2:3:4:5:6:7:8:9',
  ]) {
    t.throws(() => addressBytes(text), { message: `not an IP address: ${text}` });
  }
});

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
