import fc from 'fast-check';
import t from 'tap';
import { restoredPins, savedPin } from '../../lib/controlplane/pinrecords.js';
import type { PinChange, PinRecord } from '../../lib/dataplane/shared/pins.js';

const NOW = 1_700_000_000_000;
const PIN: PinRecord = {
  service: 'default/web',
  portal: null,
  client: '10.0.0.1',
  endpoint: 'default/web-1',
  pinnedAt: NOW - 100_000,
  usedAt: NOW - 5000,
  timeoutMs: 10_000,
  moves: 2,
};
const read = (changes: readonly PinChange[], now = NOW) => restoredPins(changes.map(savedPin), now);

t.test('the last change of a pin counts', async (t) => {
  const other = { ...PIN, client: 'fd00::1' };
  const ofPort = { ...PIN, portal: 'default/web:admin/TCP/IPv4', endpoint: 'default/admin-1' };
  const robot = { ...PIN, client: '0110465b6276a1ab271afc1a' };
  const moved = { ...PIN, endpoint: 'default/web-2', moves: 3 };
  t.same(read([PIN, other, ofPort, robot, moved]), [moved, other, ofPort, robot]);
  const { service, portal, client } = other;
  t.same(read([PIN, other, { service, portal, client, endpoint: null }]), [PIN]);
});

t.test('a pin ends by the wall clock, and a clock that was set back prolongs nothing', async (t) => {
  t.same(read([PIN], NOW + 4999), [PIN]);
  t.same(read([PIN], NOW + 5000), []);
  t.same(read([PIN], NOW - 50_000), [{ ...PIN, usedAt: NOW - 50_000 }], 'it was used now at the latest');
});

t.test('whatever the file says, it is a list of pins or nothing', async (t) => {
  const almost = fc
    .tuple(fc.nat(7), fc.jsonValue())
    .map(([at, value]) => savedPin(PIN).map((field, index) => (index === at ? value : field)));
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.jsonValue(), almost)), (changes) => {
      for (const pin of restoredPins(changes, NOW)) {
        t.type(pin.service, 'string');
        t.type(pin.endpoint, 'string');
        t.ok([pin.pinnedAt, pin.usedAt, pin.timeoutMs, pin.moves].every(Number.isSafeInteger));
      }
    }),
  );
  t.same(restoredPins([null, 1, [], ['a'], savedPin(PIN).slice(0, 7)], NOW), []);
});
