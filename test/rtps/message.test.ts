import fc from 'fast-check';
import t from 'tap';
import { destinationAt, isRtps, SOURCE_PREFIX_AT, vendorOf } from '../../lib/rtps/message.js';
import {
  discoveryServerId,
  isSamePrefix,
  isZeroPrefix,
  prefixBytes,
  prefixText,
} from '../../lib/rtps/prefix.js';
import { ABSENT } from '../../lib/rtps/submessages.js';
import { vendorName } from '../../lib/rtps/vendor.js';
import * as messages from './messages.js';
import { mutated } from './mutated.js';

const HEADER = '525450530203010f010fa550d83a6f0200000000';
const TO_SERVER = '0e010c004453005f4550524f53494d41';
const TO_ALL = '0e010c00000000000000000000000000';

function bytes(...parts: readonly string[]): Uint8Array {
  return Uint8Array.from(Buffer.from(parts.join(''), 'hex'));
}

/** The prefix that a message is for, as text; null for everyone. */
function destinationOf(message: Uint8Array): string | null {
  const at = destinationAt(message);
  return at === ABSENT ? null : prefixText(message, at);
}

t.test('a datagram is RTPS if it begins with a whole header', async (t) => {
  for (const message of messages.MESSAGES) t.ok(isRtps(message));
  t.ok(isRtps(bytes(HEADER)));
  t.notOk(isRtps(bytes(HEADER).subarray(0, 19)), 'a header that is cut');
  t.notOk(isRtps(bytes('52545058', HEADER)));
  t.notOk(isRtps(new Uint8Array()));
});

t.test('the header has vendor and prefix of the sender', async (t) => {
  const { cycloneData, fastServerAnnouncement } = messages;
  t.equal(prefixText(cycloneData, SOURCE_PREFIX_AT), '0110465b6276a1ab271afc1a');
  t.equal(vendorName(vendorOf(cycloneData)), 'Cyclone DDS');
  t.equal(prefixText(fastServerAnnouncement, SOURCE_PREFIX_AT), '4453025f4550524f53494d41');
  t.equal(vendorName(vendorOf(fastServerAnnouncement)), 'Fast DDS');
  t.equal(vendorName(0x0106), 'CoreDX DDS');
  t.equal(vendorName(0x01fe), '0x01fe', 'a vendor that nobody knows');
});

t.test('INFO_DST names the participant that a message is for', async (t) => {
  t.equal(destinationOf(messages.cycloneToOne), '0110b7e3029acfa1b1247714');
  t.equal(destinationOf(messages.fastToServer), '4453005f4550524f53494d41');
  t.equal(destinationOf(messages.cycloneAnnouncement), null, 'a prefix of zeros is everyone');
  t.equal(destinationOf(messages.fastAnnouncement), null, 'a message without INFO_DST');
  t.equal(destinationOf(messages.secured), null);
});

t.test('INFO_DST is found behind other submessages, in either byte order', async (t) => {
  t.equal(
    destinationOf(bytes(HEADER, '09010800', '0000000000000000', TO_SERVER)),
    '4453005f4550524f53494d41',
  );
  t.equal(
    destinationOf(bytes(HEADER, '0100000009000000', TO_SERVER)),
    '4453005f4550524f53494d41',
    'empty ones',
  );
  t.equal(destinationOf(bytes(HEADER, TO_ALL, TO_SERVER)), '4453005f4550524f53494d41');
  t.equal(destinationOf(bytes(HEADER, '0e00000c4453005f4550524f53494d41')), '4453005f4550524f53494d41');
});

t.test('a submessage that is cut or longer than the message ends the search', async (t) => {
  t.equal(destinationOf(bytes(HEADER, TO_SERVER).subarray(0, 35)), null);
  t.equal(destinationOf(bytes(HEADER, '0701ffff', TO_SERVER)), null);
  t.equal(destinationOf(bytes(HEADER, '07010000', TO_SERVER)), null, 'a length of 0 reaches to the end');
  t.equal(destinationOf(bytes(HEADER, '0e0108004453005f4550524f53494d41')), null, 'a short INFO_DST');
  t.equal(destinationOf(bytes(HEADER, '0e0100004453005f4550524f53494d41')), '4453005f4550524f53494d41');
});

t.test('a message may lie anywhere in a block', async (t) => {
  const message = messages.fastToServer;
  const block = new Uint8Array(1000).fill(0x55);
  block.set(message, 300);
  const end = 300 + message.length;
  t.ok(isRtps(block, 300, end));
  t.equal(destinationAt(block, 300, end), 300 + 24);
  t.equal(destinationAt(block, 300, 300 + 35), ABSENT, 'it does not look beyond the end of the message');
});

t.test('the destination of a mutated message lies in it', async () => {
  fc.assert(
    fc.property(mutated, (message) => {
      const at = destinationAt(message);
      return at === ABSENT || (at >= 24 && at + 12 <= message.length && !isZeroPrefix(message, at));
    }),
    { numRuns: 2000 },
  );
});

t.test('a prefix as text and as bytes', async (t) => {
  const prefix = bytes('4453205f4550524f53494d41');
  t.same(prefixBytes(prefixText(prefix, 0)), prefix);
  t.equal(prefixText(prefix, 0, 4), '4453205f');
  t.ok(isSamePrefix(prefix, 0, bytes('00', prefixText(prefix, 0)), 1));
  t.notOk(isSamePrefix(prefix, 0, bytes('4453205f4550524f53494d42'), 0));
  t.equal(discoveryServerId('4453205f4550524f53494d41'), 32);
  t.equal(discoveryServerId('0110465b6276a1ab271afc1a'), null);
});
