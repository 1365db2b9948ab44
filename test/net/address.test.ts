import { isIPv6, SocketAddress } from 'node:net';
import fc from 'fast-check';
import t from 'tap';
import { addressBytes, addressText, canonicalAddress, familyOf, isLoopback } from '../../lib/net/address.js';

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
/** Addresses with runs of zeros, which have several text forms. */
const sparseV6 = fc
  .array(fc.constantFrom(0, 0, 0, 1, 0xff, 0xabcd), { minLength: 8, maxLength: 8 })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255])));

t.test('an address becomes the same address again when it is written as text and read', async (t) => {
  fc.assert(
    fc.property(fc.oneof(bytesOf(4), bytesOf(16), sparseV6), (bytes) => {
      t.same(addressBytes(addressText(bytes)), [...bytes]);
    }),
    { numRuns: 300 },
  );
});

t.test('all spellings of an IPv6 address give the same bytes', async (t) => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      fc.pre(isIPv6(text));
      const canonical = addressText(addressBytes(text));
      t.ok(isIPv6(canonical), canonical);
      t.same(addressBytes(canonical), addressBytes(text));
      const parsed = new SocketAddress({ address: text, family: 'ipv6' }).address;
      t.same(addressBytes(parsed), addressBytes(text), 'as the C library reads it');
    }),
    { numRuns: 300 },
  );
});

t.test('the text of an IPv6 address has the form of RFC 5952', async (t) => {
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
  ] as const) {
    t.equal(addressText(addressBytes(given)), canonical, given);
  }
});

t.test('a text that is not an address is refused, and the error names it', async (t) => {
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

t.test('addresses are read as kube-proxy reads them', async (t) => {
  const table: [string, string | null][] = [
    ['010.096.000.001', '10.96.0.1'],
    ['10.96.0.0', '10.96.0.0'],
    ['10.96.0.0256', null],
    ['0x0a.1.2.3', null],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:201', '192.0.2.1'],
    ['::ffff:192.000.2.01', '192.0.2.1'],
    ['::ffff:0.0.0.0', null],
    ['00fd00:0096::00010', 'fd00:96::10'],
    ['fd00::0', 'fd00::'],
    ['::192.0.2.1', '::c000:201'],
    ['::', null],
    ['00.0.0.0', null],
  ];
  for (const [text, address] of table) t.equal(canonicalAddress(text), address, text);
});

t.test(
  "whatever spelling of a host's address has one canonical form, of which nothing changes again",
  async (t) => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const canonical = canonicalAddress(text);
        fc.pre(canonical !== null);
        t.equal(canonicalAddress(canonical as string), canonical);
        t.equal(addressText(addressBytes(canonical as string)), canonical, 'the spelling of addressText');
      }),
      { numRuns: 300 },
    );
  },
);

t.test('the family of addresses and ranges', async (t) => {
  for (const text of ['10.0.0.1', '10.0.0.0/8']) t.equal(familyOf(text), 'IPv4');
  for (const text of ['::1', 'fd00::/8', '::ffff:192.0.2.1']) t.equal(familyOf(text), 'IPv6');
});

t.test('loopback addresses are 127.0.0.0/8 and ::1', async (t) => {
  for (const address of ['127.0.0.1', '127.255.255.255', '::1']) t.ok(isLoopback(address), address);
  for (const address of ['126.0.0.1', '12.7.0.1', '10.127.0.1', '::', '::2', '2001:db8::1']) {
    t.notOk(isLoopback(address), address);
  }
});
