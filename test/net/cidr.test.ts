import fc from 'fast-check';
import t from 'tap';
import { addressBytes } from '../../lib/net/address.js';
import { CidrSet, canonicalCidr, cidrContains, parseCidr } from '../../lib/net/cidr.js';

t.test(
  'a range is given by its first bits; an address without a prefix is a range of one address',
  async (t) => {
    t.same(parseCidr('10.1.2.3/8'), { bytes: [10, 1, 2, 3], prefix: 8 });
    t.same(parseCidr('192.0.2.7'), { bytes: [192, 0, 2, 7], prefix: 32 });
    t.same(parseCidr('fd00::/0'), { bytes: addressBytes('fd00::'), prefix: 0 });
    t.equal(parseCidr('fd00::1').prefix, 128);
  },
);

t.test('a text that is not a range is refused, and the error names it', async (t) => {
  for (const text of ['10.0.0.0/33', 'fd00::/129', '10.0.0.0/-1', '10.0.0.0/x'])
    t.throws(() => parseCidr(text), { message: `not a CIDR: ${text}` });
  for (const text of ['', 'primary', '10.0.0/8']) t.throws(() => parseCidr(text), TypeError);
});

t.test('ranges are read as kube-proxy reads them', async (t) => {
  const table: [string, string | null][] = [
    ['10.0.0.0/8', '10.0.0.0/8'],
    [' 010.000.0.0/08 ', '10.0.0.0/8'],
    ['10.1.2.3/8', '10.1.2.3/8'],
    ['fd00::/8', 'fd00::/8'],
    ['::/0', '::/0'],
    ['10.0.0.0', null],
    ['10.0.0.0/33', null],
    ['fd00::/129', null],
    ['fe80::1%eth0/64', null],
    ['10.0.0.0/8/8', null],
    ['10.0.0.0/8,', null],
    ['', null],
  ];
  for (const [text, cidr] of table) t.equal(canonicalCidr(text), cidr, text);
});

t.test('a set has the addresses of its ranges, in both families', async (t) => {
  const set = new CidrSet(['10.0.0.0/8', '192.0.2.7', 'fd00:1:8000::/33']);
  for (const inside of ['10.255.255.255', '192.0.2.7', 'fd00:1:ffff::1']) t.ok(set.has(inside), inside);
  for (const outside of ['11.0.0.0', '192.0.2.6', 'fd00:1:7fff::1', '::a00:1'])
    t.notOk(set.has(outside), outside);
  t.notOk(new CidrSet([]).has('10.0.0.1'));
});

t.test(
  'a range contains itself and its parts, but no wider range and no range of another family',
  async (t) => {
    t.ok(cidrContains('10.0.0.0/8', '10.0.0.0/8'));
    t.ok(cidrContains('10.0.0.0/8', '10.1.2.0/24'));
    t.ok(cidrContains('fd00::/8', 'fd00:1::/64'));
    t.notOk(cidrContains('10.1.2.0/24', '10.0.0.0/8'));
    t.notOk(cidrContains('10.0.0.0/8', '11.0.0.0/16'));
    t.notOk(cidrContains('0.0.0.0/0', '::/0'));
  },
);

t.test('a canonical range has the same addresses as the text', async (t) => {
  const cidr = fc.oneof(
    fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })),
    fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })),
  );
  fc.assert(
    fc.property(cidr, ([address, prefix]) => {
      t.same(parseCidr(canonicalCidr(`${address}/${prefix}`) as string), {
        bytes: addressBytes(address),
        prefix,
      });
    }),
    { numRuns: 200 },
  );
});
