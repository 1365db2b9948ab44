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
  readonly #sent = new DatagramSender(64);

  constructor(t: Test, policy: ServicePolicy) {
    this.client = new OneClient(t, policy);
    const { table, mover } = this.client;
    const now = () => 1;
    this.participants = new Participants(table.keys, now, () => undefined);
    const reannouncer = new Reannouncer(this.participants, mover);
    this.client.moved = (flow) => reannouncer.moved(flow, now());
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
}

t.test('a participant is announced to the endpoint that its discovery moves to', async (t) => {
  const link = new Link(t, PINNED);
  const discovery = await link.send(messages.cycloneAnnouncement, 0);
  const { client } = link;
  client.mover.answered(discovery);
  client.log.length = 0;
  client.mover.refused(discovery, ECONNREFUSED, false);
  t.same(client.log, ['drain a', 'close a', 'open b', 'send 1 to b']);
});

t.test('discovery follows the pin that the data has moved, and the participant is announced', async (t) => {
  const link = new Link(t, PINNED);
  const discovery = await link.send(messages.cycloneAnnouncement, 0);
  const data = await link.send(messages.cycloneData, 1);
  const { client } = link;
  client.mover.answered(data);
  client.log.length = 0;
  client.mover.refused(data, ECONNREFUSED, false);
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
  link.client.mover.refused(data, ECONNREFUSED, false);
  t.equal(discovery.target.id, 'a');
});

t.test('an endpoint that is removed is left at once, although the client is silent', async (t) => {
  const link = new Link(t, PINNED);
  const discovery = await link.send(messages.cycloneAnnouncement, 0);
  const { client } = link;
  client.log.length = 0;
  client.portal.balancer.update({ endpoints: ENDPOINTS.slice(1), policy: PINNED });
  t.equal(client.mover.moveIfNeeded(discovery), true);
  t.match(client.log, ['leave a', /^open [bc]$/, /^send 1 to [bc]$/]);
  client.log.length = 0;
  client.mover.refused(discovery, ECONNREFUSED, false);
  t.match(client.log.slice(1), [/^close/, /^open/, /^send 1 to [bc]$/], 'nothing old is sent beside it');
});

t.test('a participant whose discovery flow has ended is not announced', async (t) => {
  const link = new Link(t, PINNED);
  const discovery = await link.send(messages.cycloneAnnouncement, 0);
  const data = await link.send(messages.cycloneData, 1);
  const { client } = link;
  client.mover.answered(data);
  client.mover.lifetimes.end(discovery);
  client.log.length = 0;
  client.mover.refused(data, ECONNREFUSED, false);
  t.same(client.log, ['drain a', 'close a', 'open b']);
});
