import fc from 'fast-check';
import t from 'tap';
import { clientAddresses, MOST_CLIENTS } from '../../../lib/affinity/asking/clientaddresses.js';
import { addressText } from '../../../lib/net/address.js';
import { CidrSet } from '../../../lib/net/cidr.js';

t.test('single addresses and ranges are joined, each address once', async (t) => {
  t.same(clientAddresses(['192.0.2.7', '192.0.2.4/30', '192.0.2.5']), [
    '192.0.2.7',
    '192.0.2.5',
    '192.0.2.6',
  ]);
  t.same(clientAddresses(['FD00::0001', 'fd00::/126']), ['fd00::1', 'fd00::2', 'fd00::3']);
});

t.test('small ranges have all of their addresses', async (t) => {
  t.same(clientAddresses(['192.0.2.9/32']), ['192.0.2.9']);
  t.same(clientAddresses(['192.0.2.9/31']), ['192.0.2.8', '192.0.2.9']);
  t.same(clientAddresses(['fd00::9/128']), ['fd00::9']);
});

t.test('a range carries over into the next byte', async (t) => {
  const addresses = clientAddresses(['198.18.0.0/23']);
  t.equal(addresses.length, 510);
  t.same(addresses.slice(254, 256), ['198.18.0.255', '198.18.1.0']);
});

t.test('what is no host address is refused', async (t) => {
  for (const text of ['', 'robot', '224.0.0.1', '10.0.0.0/33', '10.0.0/30', 'fe80::1%eth0'])
    t.throws(() => clientAddresses([text]), TypeError, text);
});

t.test('too many addresses are refused before they are listed', async (t) => {
  for (const text of ['10.0.0.0/8', 'fd00::/8', '0.0.0.0/0'])
    t.throws(() => clientAddresses([text]), RangeError, text);
  t.throws(() => clientAddresses(['10.0.0.0/23', '10.1.0.0/23']), RangeError);
});

t.test('every address of a range is in the range', async () => {
  const bytes = fc.tuple(fc.integer({ min: 1, max: 223 }), fc.nat(255), fc.nat(255), fc.nat(255));
  fc.assert(
    fc.property(bytes, fc.integer({ min: 23, max: 32 }), (address, prefix) => {
      const cidr = `${addressText(address)}/${prefix}`;
      const range = new CidrSet([cidr]);
      const addresses = clientAddresses([cidr]);
      const count = 2 ** (32 - prefix);
      return (
        addresses.length === (count > 2 ? count - 2 : count) &&
        addresses.length <= MOST_CLIENTS &&
        addresses.every((each) => range.has(each))
      );
    }),
  );
});
