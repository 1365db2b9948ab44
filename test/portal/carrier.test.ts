import t from 'tap';
import {
  CARRIER_QUEUES,
  firstPacketQueueOf,
  isMarkMask,
  markOfWorker,
  ownBit,
  passingMark,
  queuesOf,
} from '../../lib/portal/carrier.js';
import { RELAY } from './fixtures.js';

t.test('a mask has at least three bits, side by side', async (t) => {
  for (const mask of [0x7, 0x70, 0x7000_0000, 0xe000_0000, 0xf, 0xffff_ffff]) {
    t.ok(isMarkMask(mask), mask.toString(16));
  }
  for (const mask of [0, 0x1, 0x3, 0xc000_0000, 0x5, 0xd, 0x7000_0001, 0xe_0007]) {
    t.notOk(isMarkMask(mask), mask.toString(16));
  }
});

t.test('its highest bit says that an entry is ours, the lowest two whose it is', async (t) => {
  const marks = (mask: number) => [0, 1, 2, 3, 4, 7].map((worker) => markOfWorker(mask, worker));
  t.same(marks(0x7000_0000), [0x4000_0000, 0x5000_0000, 0x6000_0000, 0x7000_0000, 0x4000_0000, 0x7000_0000]);
  t.same(marks(0xf0), [0x80, 0x90, 0xa0, 0xb0, 0x80, 0xb0]);
  t.equal(ownBit(0xffff_ffff), 0x8000_0000, 'as a positive number');
  t.same(marks(0xe000_0000).slice(0, 2), [0x8000_0000, 0xa000_0000]);
});

t.test('a first datagram that goes on has no mark of an entry of ours', async (t) => {
  t.equal(passingMark(0x7000_0000), 0x1000_0000);
  t.equal(passingMark(0xe000_0000), 0x2000_0000);
});

t.test('each of four workers has a queue for SYNs, one for errors and one for first datagrams', async (t) => {
  t.same(
    [0, 1, 2, 3].map((worker) => queuesOf(worker, RELAY)),
    [0, 1, 2, 3].map((worker) => ({
      syns: 20_480 + worker,
      errors: 20_484 + worker,
      datagrams: 20_488 + worker,
    })),
  );
  t.equal(firstPacketQueueOf('TCP', 3, RELAY), 20_483);
  t.equal(firstPacketQueueOf('UDP', 3, RELAY), 20_491);
  t.equal(CARRIER_QUEUES, 12);
});
