import fc from 'fast-check';
import t from 'tap';
import { readAnnouncement } from '../../lib/rtps/announcement.js';
import { announcementOf, farewellOf, type Introduction } from '../../lib/rtps/announcing.js';
import { isRtps } from '../../lib/rtps/message.js';
import { prefixText } from '../../lib/rtps/prefix.js';
import { FAST_DDS } from '../../lib/rtps/vendor.js';

const introduction: fc.Arbitrary<Introduction> = fc.record({
  prefix: fc.uint8Array({ minLength: 12, maxLength: 12 }),
  vendor: fc.nat(0xffff),
  domainId: fc.option(fc.nat(232)),
  leaseMs: fc.nat(100_000).map((tenths) => tenths * 100),
  address: fc.constantFrom('10.0.0.1', '192.0.2.255', 'fd00::7'),
  port: fc.integer({ min: 1, max: 65_535 }),
  entityName: fc.string({ maxLength: 40 }),
  isClient: fc.boolean(),
});

t.test('what is announced can be read', async (t) => {
  fc.assert(
    fc.property(introduction, (one) => {
      const { prefix, vendor, domainId, leaseMs, address, port, entityName, isClient } = one;
      const message = announcementOf(one);
      const read = readAnnouncement(message);
      t.ok(isRtps(message));
      const locators = [{ transport: 'udp', address, port }];
      const properties = isClient
        ? [
            ['PARTICIPANT_TYPE', 'CLIENT'],
            ['DS_VERSION', '2.0'],
          ]
        : [];
      t.match(read, { prefix: prefixText(prefix, 0), isOwn: true, isFarewell: false, vendor, domainId });
      t.match(read, { entityName, metatraffic: locators, data: locators });
      t.ok(Math.abs((read?.leaseMs ?? 0) - leaseMs) <= 1, 'to the millisecond');
      t.same([...(read?.properties ?? [])], properties);
    }),
    { numRuns: 100 },
  );
});

t.test('a farewell names who leaves', async (t) => {
  const prefix = Uint8Array.from({ length: 12 }, (_, index) => index);
  for (const isClient of [false, true]) {
    const farewell = farewellOf({ prefix, vendor: FAST_DDS, isClient });
    const read = readAnnouncement(farewell);
    t.match(read, { prefix: '000102030405060708090a0b', isOwn: true, isFarewell: true, vendor: FAST_DDS });
    t.equal(
      Buffer.from(farewell).includes('0f80', 0, 'hex'),
      isClient,
      'a discovery server wants its identity',
    );
  }
});
