import fc from 'fast-check';
import t from 'tap';
import { type Announcement, announcementAt, readAnnouncement } from '../../lib/rtps/announcement.js';
import { locatorText } from '../../lib/rtps/locator.js';
import { runningPlaceOf } from '../../lib/rtps/runningplace.js';
import { ABSENT } from '../../lib/rtps/submessages.js';
import * as messages from './messages.js';
import { mutated } from './mutated.js';

function hex(...lines: readonly (readonly string[])[]): Uint8Array {
  return Uint8Array.from(Buffer.from(lines.flat().join(''), 'hex'));
}

/** What a message announces, with its locators as text. */
function read(message: Uint8Array) {
  const announcement = readAnnouncement(message) as Announcement;
  return {
    ...announcement,
    metatraffic: announcement.metatraffic.map(locatorText),
    data: announcement.data.map(locatorText),
    place: runningPlaceOf(announcement),
  };
}

t.test('Cyclone DDS announces itself', async (t) => {
  t.match(read(messages.cycloneAnnouncement), {
    prefix: '0110465b6276a1ab271afc1a',
    isOwn: true,
    isFarewell: false,
    vendor: 0x0110,
    domainId: 0,
    entityName: null,
    leaseMs: 10_000,
    metatraffic: ['udp/10.244.0.21:7410'],
    data: ['udp/10.244.0.21:7411'],
    place: { host: 'vm', process: 'python', pid: '26687' },
  });
  t.equal(read(messages.cycloneAnswer).prefix, '0110b7e3029acfa1b1247714', 'behind other submessages');
  t.same(read(messages.cycloneBehindNat).metatraffic, ['udp/192.168.50.11:7410']);
});

t.test('Fast DDS announces itself', async (t) => {
  t.match(read(messages.fastAnnouncement), {
    prefix: '010f13f0265c4bad00000000',
    isOwn: true,
    vendor: 0x010f,
    domainId: null,
    entityName: 'RTPSParticipant',
    leaseMs: 20_000,
    metatraffic: ['udp/10.244.0.21:7410'],
    place: { host: 'vm', process: null, pid: '23590' },
  });
  const client = read(messages.fastClientAnnouncement);
  t.equal(client.prefix, '010fa550d83a6f0200000000', 'behind inline QoS');
  t.equal(client.properties.get('PARTICIPANT_TYPE'), 'CLIENT');
  const secure = read(messages.secureAnnouncement);
  t.equal(secure.prefix, 'aa5d6f6a3eadd6c7164a57d2', 'DDS Security leaves announcements in the clear');
});

t.test('a discovery server announces itself, and passes on what others have announced', async (t) => {
  t.match(read(messages.fastServerAnnouncement), {
    prefix: '4453025f4550524f53494d41',
    isOwn: true,
    entityName: 'eProsima Default Server number 2',
    metatraffic: ['udp/10.244.0.13:11811'],
    data: ['udp/10.244.0.13:7411'],
  });
  t.match(read(messages.fastRelayed), {
    prefix: '010fa550d83a6f0200000000',
    isOwn: false,
    isFarewell: false,
  });
  t.match(read(messages.fastRelayedFarewell), { prefix: '010f44be0e2e05da00000000', isFarewell: true });
});

t.test('other messages have no announcement', async (t) => {
  for (const message of [messages.cycloneData, messages.fastToServer, messages.secured]) {
    t.equal(announcementAt(message), ABSENT);
    t.equal(readAnnouncement(message), null);
  }
  t.equal(readAnnouncement(new Uint8Array()), null);
});

t.test('an announcement that is cut anywhere is none', async (t) => {
  const message = messages.fastClientAnnouncement;
  const end = announcementAt(message) + 4 + 416;
  t.not(readAnnouncement(message.subarray(0, end)), null, 'the submessage behind it is not needed');
  for (let length = 0; length < end; length++) {
    t.equal(readAnnouncement(message.subarray(0, length)), null, `the first ${length} bytes`);
  }
});

t.test('a big-endian announcement', async (t) => {
  const data = hex(
    ['00000010', '00000000', '000100c2', '0000000000000001', '00020000'],
    ['00500010', '0101010203040506070809ff000001c1'],
    ['00020008', '00000003', '80000000'],
    ['000f0004', '0000002a'],
    ['00320018', '00000001', '00001cf2', '000000000000000000000000', '0a000001'],
    ['00310018', '00000002', '00001cf3', 'fd000000000000000000000000000007'],
    ['00010000'],
  );
  const header = hex(['52545053', '0205', '0101', '0101010203040506070809ff', '1504', '0000']);
  header[header.length - 1] = data.length;
  t.match(read(Uint8Array.from([...header, ...data])), {
    prefix: '0101010203040506070809ff',
    domainId: 42,
    leaseMs: 3500,
    metatraffic: ['udp/10.0.0.1:7410'],
    data: ['udp/[fd00::7]:7411'],
  });
});

/** Bytes of everything that is kept of an announcement. */
function keptBytes(announcement: Announcement): number {
  return JSON.stringify({ ...announcement, properties: [...announcement.properties] }).length;
}

t.test('a mutated message gives an announcement within the caps or none, and no exception', async () => {
  fc.assert(
    fc.property(mutated, (message) => {
      const announcement = readAnnouncement(message);
      return announcement === null || keptBytes(announcement) < 16_384;
    }),
    { numRuns: 5000 },
  );
});

t.test('any bytes behind a header give no exception', async () => {
  const header = messages.fastAnnouncement.subarray(0, 20);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (rest) => {
      readAnnouncement(Uint8Array.from([...header, ...rest]));
    }),
    { numRuns: 5000 },
  );
});
