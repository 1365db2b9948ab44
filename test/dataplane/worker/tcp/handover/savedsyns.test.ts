import t from 'tap';
import { NO_SLOT } from '../../../../../lib/dataplane/worker/kernel/endskeys.js';
import { Target } from '../../../../../lib/dataplane/worker/target.js';
import type { QueuedSyn } from '../../../../../lib/dataplane/worker/tcp/handover/queuedsyn.js';
import { SavedSyns } from '../../../../../lib/dataplane/worker/tcp/handover/savedsyns.js';
import { SocketAddress } from '../../../../../lib/sys/sockaddr.js';
import { servedPortal } from '../../fixtures.js';

const CAPACITY = 8192;
const portal = servedPortal();
const vip = { portal, masquerade: 'never' } as const;
const target = new Target({ id: 'a', address: '10.244.0.2', port: 8080 });
const other = new Target({ id: 'b', address: '10.244.0.3', port: 8080 });

type Syn = Pick<QueuedSyn, 'client' | 'vip' | 'sequence' | 'bytes' | 'start' | 'length'> & QueuedSyn;

/** A SYN, as a queue's memory would have it from byte 8 on. */
function syn(port: number, sequence: number, over: Partial<Syn> = {}): QueuedSyn {
  return {
    client: SocketAddress.of('10.244.0.9', port),
    vip: SocketAddress.of('10.96.0.10', 80),
    isV6: false,
    sequence,
    inputDevice: 7,
    bytes: Uint8Array.from({ length: 200 }, (_, at) => at),
    start: 8,
    length: 60,
    isWhole: true,
    ...over,
  } as QueuedSyn;
}

t.test('a SYN is found by its client and VIP, with all that was kept of it', async (t) => {
  const saved = new SavedSyns();
  const slot = saved.add(syn(40_000, 0xffff_fff0), vip, portal, target);
  t.equal(saved.find(syn(40_000, 1)), slot);
  t.equal(saved.find(syn(40_001, 1)), NO_SLOT, 'another port');
  t.equal(saved.find(syn(40_000, 1, { vip: SocketAddress.of('10.96.0.10', 81) })), NO_SLOT, 'another VIP');
  t.equal(saved.sequenceOf(slot), 0xffff_fff0);
  t.equal(saved.inputDeviceOf(slot), 7);
  const start = saved.startOf(slot);
  t.same(
    [...saved.packets.subarray(start, start + saved.lengthOf(slot))],
    Array.from({ length: 60 }, (_, i) => i + 8),
  );
  const ends = { client: new SocketAddress(), vip: new SocketAddress() };
  saved.readEnds(slot, ends);
  t.same([ends.client.address, ends.client.port], ['10.244.0.9', 40_000]);
  t.same([ends.vip.address, ends.vip.port], ['10.96.0.10', 80]);
  saved.delete(slot);
  t.equal(saved.find(syn(40_000, 1)), NO_SLOT);
  t.notOk(saved.has(slot));
});

t.test('IPv6 clients that differ in the last word only are different', async (t) => {
  const saved = new SavedSyns();
  const six = (client: string) =>
    syn(40_000, 1, { client: SocketAddress.of(client, 40_000), vip: SocketAddress.of('fd00:96::10', 80) });
  const slot = saved.add(six('fd00::1'), vip, portal, target);
  t.equal(saved.find(six('fd00::1')), slot);
  t.equal(saved.find(six('fd00::2')), NO_SLOT);
  const ends = { client: new SocketAddress(), vip: new SocketAddress() };
  saved.readEnds(slot, ends);
  t.same([ends.client.address, ends.vip.address], ['fd00::1', 'fd00:96::10']);
});

t.test('an answer of an endpoint leads to the SYN that it has got', async (t) => {
  const saved = new SavedSyns();
  const toOther = saved.add(syn(1, 4711), vip, portal, other);
  const slot = saved.add(syn(2, 4711), vip, portal, target);
  t.equal(saved.findHandedTo(target.address, 4711), slot);
  t.equal(saved.findHandedTo(other.address, 4711), toOther);
  t.equal(saved.findHandedTo(target.address, 4712), NO_SLOT);
  t.equal(saved.findHandedTo(SocketAddress.of('10.244.0.2', 8081), 4711), NO_SLOT);
  t.same([...saved.to(target)], [slot]);
  saved.delete(slot);
  t.equal(saved.findHandedTo(target.address, 4711), NO_SLOT);
});

t.test('a SYN with much data is kept without it', async (t) => {
  const saved = new SavedSyns();
  t.equal(saved.lengthOf(saved.add(syn(1, 1, { length: 129 }), vip, portal, target)), 0);
  t.equal(saved.lengthOf(saved.add(syn(2, 1, { isWhole: false }), vip, portal, target)), 0);
  t.equal(saved.lengthOf(saved.add(syn(3, 1, { length: 128 }), vip, portal, target)), 128);
});

t.test('the newest SYNs are kept, and all of them are found', async (t) => {
  const saved = new SavedSyns();
  const count = CAPACITY + 100;
  for (let port = 1; port <= count; port++) saved.add(syn(port, port), vip, portal, target);
  const found = Array.from({ length: count }, (_, i) => saved.find(syn(i + 1, 0)) !== NO_SLOT);
  t.same(found.slice(0, 100), new Array(100).fill(false), 'the oldest have given up their places');
  t.ok(found.slice(100).every(Boolean));
});
