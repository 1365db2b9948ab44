import t, { type Test } from 'tap';
import type { UdpFlow } from '../../../../../lib/dataplane/worker/udp/flow.js';
import { Participants } from '../../../../../lib/dataplane/worker/udp/rtps/participants.js';
import { Reannouncer } from '../../../../../lib/dataplane/worker/udp/rtps/reannouncer.js';
import { DEFAULT_POLICY, type ServicePolicy } from '../../../../../lib/portal/policy.js';
import { DatagramSender } from '../../../../../lib/sys/datagramsender.js';
import { ECONNREFUSED } from '../../../../../lib/sys/errno.js';
import * as messages from '../../../../rtps/messages.js';
import { ENDPOINTS, OneClient } from '../oneclient.js';

const PINNED: ServicePolicy = {
  ...DEFAULT_POLICY,
  affinity: { by: 'client-ip', timeoutMs: 60_000 },
  rtpsRouting: 'pin',
};

/** A client that announces itself by one socket and sends data by another. */
class Link {
  readonly client: OneClient;
  readonly participants: Participants;
  readonly reannouncer: Reannouncer;
  readonly #sent = new DatagramSender(64);

  constructor(t: Test, policy: ServicePolicy) {
    this.client = new OneClient(t, policy);
    const { table, mover } = this.client;
    const now = () => 1;
    this.participants = new Participants(table.keys, now, () => undefined);
    this.reannouncer = new Reannouncer(this.participants, mover);
    this.client.moved = (flow, from) => this.reannouncer.moved(flow, from);
  }

  async send(payload: Uint8Array, socket: number): Promise<UdpFlow> {
    const { client, participants } = this;
    const flow = await client.ask(payload, socket);
    if (flow.carrier === null) client.mover.openCarrier(flow);
    participants.hear(flow, client.inbox);
    this.#sent.clear();
    client.inbox.collectBatch(flow, this.#sent);
    return flow;
  }

  /** The endpoint refuses a flow. */
  refuse(flow: UdpFlow, isForAll = false): void {
    this.client.mover.refused(flow, ECONNREFUSED, isForAll);
    this.endTurn();
  }

  /** What the loop does between two waits. */
  endTurn(): void {
    if (this.reannouncer.deadline === 0) this.reannouncer.expire(1);
  }
}

t.test('a participant is announced to the endpoint that its discovery moves to', async (t) => {
  const link = new Link(t, PINNED);
  const discovery = await link.send(messages.cycloneAnnouncement, 0);
  const { client } = link;
  client.mover.answered(discovery);
  client.log.length = 0;
  link.refuse(discovery);
  t.same(client.log, ['drain a', 'close a', 'open b', 'send 1 to b']);
});

t.test('discovery follows the pin that the data has moved, and the participant is announced', async (t) => {
  const link = new Link(t, PINNED);
  const discovery = await link.send(messages.cycloneAnnouncement, 0);
  const data = await link.send(messages.cycloneData, 1);
  const { client } = link;
  client.mover.answered(data);
  client.log.length = 0;
  link.refuse(data);
  t.same(client.log, ['drain a', 'close a', 'open b', 'close a', 'open b', 'send 1 to b']);
  t.equal(discovery.target.id, 'b');
  client.log.length = 0;
  t.equal(client.mover.moveIfNeeded(discovery), true);
  t.same(client.log, [], 'it has moved already');
});

t.test('discovery stays where clients are not pinned', async (t) => {
  const link = new Link(t, { ...DEFAULT_POLICY, rtpsRouting: 'pin' });
  const discovery = await link.send(messages.cycloneAnnouncement, 0);
  const data = await link.send(messages.cycloneData, 1);
  link.refuse(data);
  t.equal(discovery.target.id, 'a');
});

/** Two participants with pins of their own, both at the first endpoint. Then there are others, too. */
async function twoAtOne(t: Test) {
  const policy: ServicePolicy = {
    ...PINNED,
    affinity: { by: 'rtps-participant', timeoutMs: 60_000 },
  };
  const link = new Link(t, policy);
  const { client } = link;
  client.portal.balancer.update({ endpoints: ENDPOINTS.slice(0, 1), policy });
  const first = await link.send(messages.cycloneAnnouncement, 0);
  const second = await link.send(messages.fastAnnouncement, 1);
  client.portal.balancer.update({ endpoints: ENDPOINTS, policy });
  // Before the failure, by the clock of the portal, which stands still.
  second.aliveAt = 0;
  client.mover.answered(first);
  client.log.length = 0;
  return { link, client, first, second };
}

t.test('an endpoint that has failed for all is left by all who announced themselves there', async (t) => {
  const { link, client, first, second } = await twoAtOne(t);
  link.refuse(first, true);
  t.not(second.target.id, 'a');
  t.equal(client.log.filter((line) => line.startsWith('send 1 to ')).length, 2);
});

t.test('others stay at an endpoint that has refused one client only', async (t) => {
  const { link, first, second } = await twoAtOne(t);
  link.refuse(first);
  t.equal(second.target.id, 'a');
});

t.test('a flow that has heard of the endpoint since it failed stays there', async (t) => {
  const { link, client, first, second } = await twoAtOne(t);
  client.mover.answered(second);
  link.refuse(first, true);
  t.equal(second.target.id, 'a');
});

t.test('all who announced themselves by a listener are announced again', async (t) => {
  const { link, client, first, second } = await twoAtOne(t);
  const other = { ...first.listener };
  link.reannouncer.announceAll(other, 1);
  t.same(client.log, []);
  link.reannouncer.announceAll(first.listener, 1);
  t.same(client.log, ['send 1 to a', 'send 1 to a']);
  t.equal(second.listener, first.listener);
});

t.test('an endpoint that is removed is left at once, although the client is silent', async (t) => {
  const link = new Link(t, PINNED);
  const discovery = await link.send(messages.cycloneAnnouncement, 0);
  const { client } = link;
  client.log.length = 0;
  client.portal.balancer.update({ endpoints: ENDPOINTS.slice(1), policy: PINNED });
  t.equal(client.mover.moveIfNeeded(discovery), true);
  link.endTurn();
  t.match(client.log, ['leave a', /^open [bc]$/, /^send 1 to [bc]$/]);
  client.log.length = 0;
  link.refuse(discovery);
  t.match(client.log.slice(1), [/^close/, /^open/, /^send 1 to [bc]$/], 'nothing old is sent beside it');
});

t.test('a participant is announced once where several of its flows move in one turn', async (t) => {
  const link = new Link(t, PINNED);
  const discovery = await link.send(messages.cycloneAnnouncement, 0);
  const data = await link.send(messages.cycloneData, 1);
  const { client } = link;
  for (const flow of [discovery, data]) client.mover.answered(flow);
  client.log.length = 0;
  client.mover.refused(data, ECONNREFUSED, true);
  client.mover.moveIfNeeded(discovery);
  link.endTurn();
  link.endTurn();
  t.same(
    client.log.filter((line) => line.startsWith('send')),
    ['send 1 to b'],
  );
  t.equal(discovery.target.id, 'b');
});

t.test('a participant whose discovery flow has ended is not announced', async (t) => {
  const link = new Link(t, PINNED);
  const discovery = await link.send(messages.cycloneAnnouncement, 0);
  const data = await link.send(messages.cycloneData, 1);
  const { client } = link;
  client.mover.answered(data);
  client.mover.lifetimes.end(discovery);
  client.log.length = 0;
  link.refuse(data);
  t.same(client.log, ['drain a', 'close a', 'open b']);
});
