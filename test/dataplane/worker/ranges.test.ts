import { BlockList } from 'node:net';
import fc from 'fast-check';
import t from 'tap';
import { AddressRanges } from '../../../lib/dataplane/worker/ranges.js';
import { SocketAddress } from '../../../lib/sys/sockaddr.js';

function has(cidrs: readonly string[], address: string): boolean {
  return new AddressRanges(cidrs, address.includes(':')).has(SocketAddress.of(address, 80).memory.words, 0);
}

t.test('a range contains its first and its last address, and none beside them', async (t) => {
  t.ok(has(['10.0.0.0/8'], '10.255.255.255'));
  t.notOk(has(['10.0.0.0/8'], '11.0.0.0'));
  t.ok(has(['0.0.0.0/0'], '255.1.2.3'));
  t.ok(has(['192.0.2.7'], '192.0.2.7'), 'a plain address');
  t.notOk(has(['192.0.2.7/32'], '192.0.2.6'));
  t.ok(has(['192.0.2.7/24'], '192.0.2.1'), 'bits beyond the prefix mean nothing');
  t.ok(has(['fd00:1:8000::/33'], 'fd00:1:ffff::1'));
  t.notOk(has(['fd00:1:8000::/33'], 'fd00:1:7fff::1'));
  t.ok(has(['::/0'], 'fd00::1'));
  t.notOk(has([], '10.0.0.1'));
});

t.test('ranges contain the same addresses as a BlockList of Node', async (t) => {
  const family = fc.constantFrom('ipv4' as const, 'ipv6' as const);
  fc.assert(
    fc.property(
      family.chain((type) => {
        const address = type === 'ipv4' ? fc.ipV4() : fc.ipV6();
        const prefix = fc.integer({ min: 0, max: type === 'ipv4' ? 32 : 128 });
        return fc.tuple(fc.constant(type), fc.array(fc.tuple(address, prefix), { maxLength: 4 }), address);
      }),
      ([type, ranges, address]) => {
        const expected = new BlockList();
        for (const [network, prefix] of ranges) expected.addSubnet(network, prefix, type);
        const cidrs = ranges.map(([network, prefix]) => `${network}/${prefix}`);
        const near = [address, ...ranges.map(([network]) => network)];
        return near.every((one) => has(cidrs, one) === expected.check(one, type));
      },
    ),
    { numRuns: 500 },
  );
  t.pass();
});
