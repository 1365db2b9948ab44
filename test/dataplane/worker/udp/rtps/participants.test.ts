import fc from 'fast-check';
import t, { type Test } from 'tap';
import type { DataplaneEvent } from '../../../../../lib/dataplane/shared/messages.js';
import type { UdpFlow } from '../../../../../lib/dataplane/worker/udp/flow.js';
import { NO_SLOT } from '../../../../../lib/dataplane/worker/udp/inbox.js';
import { Participants } from '../../../../../lib/dataplane/worker/udp/rtps/participants.js';
import { type Affinity, DEFAULT_POLICY } from '../../../../../lib/portal/policy.js';
import { announcementOf, farewellOf, type Introduction } from '../../../../../lib/rtps/announcing.js';
import { prefixBytes } from '../../../../../lib/rtps/prefix.js';
import { DatagramSender } from '../../../../../lib/sys/datagramsender.js';
import { portAt } from '../../../../../lib/sys/sockaddrwords.js';
import { item } from '../../../../lab/items.js';
import * as messages from '../../../../rtps/messages.js';
import { mutated } from '../../../../rtps/mutated.js';
import { OneClient } from '../oneclient.js';

const SERVICE = 'default/web';
const PREFIX = '0110465b6276a1ab271afc1a';

/** One client of an RTPS Service, and what a worker knows of its participants. The clock is the test's. */
class Watched {
  now = 1000;
  readonly client: OneClient;
  readonly participants: Participants;
  readonly events: DataplaneEvent[] = [];
  readonly #sent = new DatagramSender(64);

  constructor(t: Test, affinity: Affinity | null = null) {
    this.client = new OneClient(t, { ...DEFAULT_POLICY, affinity, rtpsRouting: 'pin' });
    const { table } = this.client;
    this.participants = new Participants(
      table.keys,
      () => this.now,
      (event) => this.events.push(event),
    );
  }

  async send(payload: Uint8Array, socket = 0): Promise<UdpFlow> {
    const { client, participants } = this;
    const flow = await client.ask(payload, socket);
    participants.hear(flow, client.inbox);
    this.#sent.clear();
    client.inbox.collectBatch(flow, this.#sent);
    return flow;
  }

  /** Hears datagrams that are said to have come by a flow. */
  hear(flow: UdpFlow, payloads: readonly Uint8Array[]): void {
    flow.firstSlot = 0;
    for (const payload of payloads) {
      const slots = { nextOf: () => NO_SLOT, startOf: () => 0, endOf: () => payload.length };
      this.participants.hear(flow, { ...slots, payloads: payload });
    }
    flow.firstSlot = NO_SLOT;
  }

  get list() {
    return this.participants.page({ service: null, from: 0 }).participants;
  }
}

/** A prefix of its own for each number. */
function numbered(id: number): Uint8Array {
  return prefixBytes(id.toString(16).padStart(24, '0'));
}

function introduction(over: Partial<Introduction> = {}): Introduction {
  return {
    prefix: prefixBytes('010f00000000000000000001'),
    vendor: 0x010f,
    domainId: 7,
    leaseMs: 5000,
    address: '127.0.0.1',
    port: 7410,
    entityName: 'robot',
    isClient: false,
    ...over,
  };
}

t.test('a participant is listed as it announces itself, and its datagrams are counted', async (t) => {
  const watched = new Watched(t);
  await watched.send(messages.cycloneData);
  t.same(watched.list, [], 'it has not announced itself yet');
  await watched.send(messages.cycloneAnnouncement);
  watched.now += 250;
  await watched.send(messages.cycloneData, 1);
  watched.now += 500;
  t.equal(watched.list.length, 1);
  t.match(watched.list, [
    {
      service: SERVICE,
      prefix: PREFIX,
      vendor: 'Cyclone DDS',
      host: 'vm',
      process: 'python',
      pid: '26687',
      leaseMs: 10_000,
      metatraffic: ['udp/10.244.0.21:7410'],
      data: ['udp/10.244.0.21:7411'],
      source: /^127\.0\.0\.1:\d+$/,
      endpoint: '10.0.1.1:1',
      datagrams: 2,
      bytes: messages.cycloneAnnouncement.length + messages.cycloneData.length,
      firstHeardMs: 750,
      lastHeardMs: 500,
    },
  ]);
});

t.test('a participant is listed until its lease is over; each datagram renews it', async (t) => {
  const watched = new Watched(t);
  await watched.send(announcementOf(introduction()));
  watched.now += 4000;
  await watched.send(announcementOf(introduction({ entityName: 'renamed' })));
  watched.now += 4999;
  t.match(watched.list, [{ name: 'renamed', datagrams: 2, firstHeardMs: 8999 }]);
  watched.now += 2;
  t.same(watched.list, []);
});

t.test('a lease of nothing is over at once, and an endless one after an hour', async (t) => {
  const watched = new Watched(t);
  await watched.send(announcementOf(introduction({ leaseMs: 0 })));
  const endless = 0x7fffffff * 1000;
  await watched.send(announcementOf(introduction({ leaseMs: endless, prefix: numbered(1) })));
  watched.now += 10;
  t.match(watched.list, [{ prefix: /1$/, leaseMs: null }]);
  t.equal(watched.list.length, 1);
  watched.now += 3_600_000;
  t.same(watched.list, []);
});

t.test('a participant that says farewell is listed no more', async (t) => {
  const watched = new Watched(t);
  await watched.send(announcementOf(introduction()));
  t.equal(watched.list.length, 1);
  await watched.send(farewellOf(introduction()));
  t.same(watched.list, []);
});

t.test('announcements of others that a discovery server passes on make no participants', async (t) => {
  const watched = new Watched(t);
  await watched.send(messages.fastRelayed);
  t.same(watched.list, []);
  await watched.send(messages.fastServerAnnouncement);
  await watched.send(messages.fastRelayed);
  t.match(watched.list, [{ prefix: '4453025f4550524f53494d41', datagrams: 2 }]);
  t.equal(watched.list.length, 1);
});

t.test('a client that announces only addresses from which it does not call is warned of once', async (t) => {
  const watched = new Watched(t);
  await watched.send(messages.cycloneBehindNat);
  await watched.send(messages.cycloneBehindNat);
  await watched.send(announcementOf(introduction({ address: '192.168.1.2' })));
  const client = '127.0.0.1';
  t.match(watched.events, [{ kind: 'clientBehindNat', client, announced: ['192.168.50.11'] }]);
  t.equal(watched.events.length, 1);
  t.match(watched.list, [{ unreachableAt: ['192.168.50.11'] }, { unreachableAt: ['192.168.1.2'] }]);
});

t.test(
  'nobody is warned of who announces the address from which it calls, or announces a VIP as a replica',
  async (t) => {
    const watched = new Watched(t);
    await watched.send(announcementOf(introduction()));
    watched.client.portal.balancer.update({
      endpoints: [{ id: 'replica', address: '127.0.0.1', port: 7410 }],
      policy: { ...DEFAULT_POLICY, rtpsRouting: 'pin' },
    });
    await watched.send(messages.cycloneBehindNat);
    t.same(watched.events, []);
    t.match(watched.list, [{ unreachableAt: [] }, { unreachableAt: [] }]);
  },
);

t.test('a socket is shared if participants with other pins have announced themselves from it', async (t) => {
  const watched = new Watched(t, { by: 'rtps-participant', timeoutMs: 60_000 });
  const { keys } = watched.client.table;
  const announced = (id: number) => announcementOf(introduction({ prefix: numbered(id) }));
  const flow = await watched.send(announced(1));
  const portOf = ({ index }: UdpFlow) => portAt(keys.names.words, keys.nameAt(index));
  t.notOk(watched.participants.haveOther(flow, portOf(flow)), 'it is its own');
  const elsewhere = await watched.send(announced(2), 1);
  t.notOk(watched.participants.haveOther(flow, portOf(flow)), 'another socket');
  t.ok(watched.participants.haveOther(flow, portOf(elsewhere)));
  await watched.send(announced(3));
  t.ok(watched.participants.haveOther(flow, portOf(flow)));
  watched.now += 5001;
  t.notOk(watched.participants.haveOther(flow, portOf(flow)), 'its lease is over');
});

t.test('the list comes in pages, each participant once, of one Service or of all', async (t) => {
  const watched = new Watched(t);
  const flow = await watched.send(messages.cycloneData);
  const announced = (id: number) => announcementOf(introduction({ prefix: numbered(id) }));
  watched.hear(
    flow,
    Array.from({ length: 300 }, (_, id) => announced(id)),
  );
  const first = watched.participants.page({ service: SERVICE, from: 0 });
  t.equal(first.participants.length, 250);
  watched.hear(flow, [announced(0)]);
  const second = watched.participants.page({ service: SERVICE, from: first.next ?? 0 });
  t.equal(second.next, null);
  const prefixes = [...first.participants, ...second.participants].map(({ prefix }) => prefix);
  t.equal(new Set(prefixes).size, 300);
  t.equal(prefixes.length, 300);
  t.same(watched.participants.page({ service: 'default/other', from: 0 }), { participants: [], next: null });
});

t.test('announcements of ever new participants push out those that were silent for longest', async (t) => {
  const watched = new Watched(t);
  const flow = await watched.send(messages.cycloneData);
  const heard = 6000;
  for (let id = 0; id < heard; id++) {
    watched.hear(flow, [announcementOf(introduction({ prefix: numbered(id), entityName: 'x'.repeat(200) }))]);
  }
  const known = [...watched.participants.all()];
  t.ok(known.length > 1000 && known.length < 4096, `${known.length} are known`);
  t.ok(
    known.every(({ number }) => number >= heard - known.length),
    'the latest',
  );
});

t.test('mutated messages of any kind neither throw nor are listed beyond the caps', async (t) => {
  const watched = new Watched(t);
  watched.hear(await watched.send(messages.cycloneData), fc.sample(mutated, 5000));
  t.ok(watched.list.length > 0, `${watched.list.length} of them announced something`);
  t.ok(JSON.stringify(item(watched.list, 0)).length < 16_384);
});
