import fc from 'fast-check';
import t from 'tap';
import { addressText } from '../../lib/net/address.js';
import { AF_INET, AF_INET6 } from '../../lib/sys/constants.js';
import { SOCKADDR_IN_SIZE, SOCKADDR_IN6_SIZE, SOCKADDR_SIZE, SocketAddress } from '../../lib/sys/sockaddr.js';
import { addressAt, addressWords, isSameSocket, isV6At, portAt } from '../../lib/sys/sockaddrwords.js';

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

t.test('a socket address has the address that was set last, of either family', async (t) => {
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

t.test('a socket address is read in place, in a block with other ones', async (t) => {
  const port = fc.integer({ min: 0, max: 65535 });
  fc.assert(
    fc.property(fc.oneof(bytesOf(4), bytesOf(16)), port, fc.nat(5), (bytes, port, at) => {
      const isV6 = bytes.length === 16;
      const words = new Int32Array(SOCKADDR_SIZE / 4 + at);
      words.set(SocketAddress.of(addressText(bytes), port).memory.words, at);
      t.equal(isV6At(words, at), isV6);
      t.equal(portAt(words, at), port);
      const first = addressAt(at, isV6);
      const address = new Uint8Array(words.slice(first, first + addressWords(isV6)).buffer);
      t.same([...address], [...bytes]);
    }),
  );
});

t.test('sockets differ by port, address and scope, not by flow label', async (t) => {
  const PORT = 80;
  for (const [one, another] of [
    ['10.0.0.1', '10.0.0.2'],
    ['fe80::1', 'fe80::2'],
    ['2001:db8::1', '2001:db9::1'],
  ] as const) {
    const isV6 = one.includes(':');
    const a = SocketAddress.of(one, PORT).memory.words;
    const isSame = (b: Int32Array) => isSameSocket(a, 0, b, 0, isV6);
    const changed = (word: number) => Int32Array.from(a, (value, index) => (index === word ? ~value : value));
    t.ok(isSame(SocketAddress.of(one, PORT).memory.words));
    t.notOk(isSame(SocketAddress.of(one, PORT + 1).memory.words));
    t.notOk(isSame(SocketAddress.of(another, PORT).memory.words));
    if (!isV6) continue;
    t.ok(isSame(changed(1)), 'flow label');
    for (const word of [2, 3, 4, 5, 6]) t.notOk(isSame(changed(word)), `word ${word}`);
  }
});
