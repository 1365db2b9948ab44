import fc from 'fast-check';
import t from 'tap';
import { AddressTable } from '../../../../lib/dataplane/worker/kernel/addresstable.js';
import { SocketAddress } from '../../../../lib/sys/sockaddr.js';

const at = (address: string) => SocketAddress.of(address, 1).memory.words;

t.test('a value is found by address and port, until it is deleted', async (t) => {
  for (const [address, other] of [
    ['10.96.0.10', '10.96.0.11'],
    ['fd00:96::10', 'fd00:96::11'],
  ] as const) {
    const table = new AddressTable<string>(address.includes(':'));
    t.equal(table.find(at(address), 0, 80), undefined);
    table.set(at(address), 0, 80, 'web');
    table.set(at(address), 0, 443, 'tls');
    table.set(at(other), 0, 80, 'other');
    t.equal(table.find(at(address), 0, 80), 'web', address);
    t.equal(table.find(at(address), 0, 443), 'tls');
    t.equal(table.find(at(other), 0, 80), 'other');
    t.equal(table.find(at(other), 0, 443), undefined);
    table.set(at(address), 0, 80, 'another');
    t.equal(table.find(at(address), 0, 80), 'another', 'a second value takes the place of the first');
    table.delete(at(address), 0, 80);
    table.delete(at(address), 0, 8080);
    t.equal(table.find(at(address), 0, 80), undefined);
    t.equal(table.find(at(other), 0, 80), 'other');
  }
});

t.test('the table finds what a Map finds', async (t) => {
  const key = fc.tuple(fc.integer({ min: 0, max: 60 }), fc.constantFrom(80, 443));
  const step = fc.oneof(
    fc.record({ what: fc.constant('set' as const), key, value: fc.nat() }),
    fc.record({ what: fc.constant('delete' as const), key }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.boolean(), (steps, isV6) => {
      const table = new AddressTable<number>(isV6);
      const map = new Map<string, number>();
      const addressOf = (number: number) => at(isV6 ? `fd00::${number.toString(16)}` : `10.0.0.${number}`);
      for (const step of steps) {
        const [number, port] = step.key;
        if (step.what === 'set') {
          table.set(addressOf(number), 0, port, step.value);
          map.set(`${number} ${port}`, step.value);
        } else {
          table.delete(addressOf(number), 0, port);
          map.delete(`${number} ${port}`);
        }
      }
      for (let number = 0; number <= 60; number++) {
        for (const port of [80, 443]) {
          if (table.find(addressOf(number), 0, port) !== map.get(`${number} ${port}`)) return false;
        }
      }
      return true;
    }),
  );
  t.pass();
});
