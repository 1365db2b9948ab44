import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { DataplaneEvent } from '../../../../lib/dataplane/shared/messages.js';
import { EventLoop } from '../../../../lib/dataplane/worker/loop.js';
import type { Carrier } from '../../../../lib/dataplane/worker/udp/carrier.js';
import type { ListeningSocket, UdpFlow } from '../../../../lib/dataplane/worker/udp/flow.js';
import { FlowTable } from '../../../../lib/dataplane/worker/udp/flowtable.js';
import { Inbox } from '../../../../lib/dataplane/worker/udp/inbox.js';
import { FlowLifetimes } from '../../../../lib/dataplane/worker/udp/lifetimes.js';
import { FlowMover } from '../../../../lib/dataplane/worker/udp/mover.js';
import { DEFAULT_POLICY } from '../../../../lib/portal/policy.js';
import type { DatagramSender } from '../../../../lib/sys/datagramsender.js';
import { ECONNREFUSED, EHOSTUNREACH, EMFILE } from '../../../../lib/sys/errno.js';
import { listenDatagram } from '../../../../lib/sys/listening.js';
import { closeSocket, localAddress } from '../../../../lib/sys/socket.js';
import { servedPortal } from '../fixtures.js';

const ENDPOINTS = ['a', 'b', 'c'].map((id, i) => ({ id, address: '10.0.1.1', port: i + 1 }));

/** Carries nothing, and notes what it is told to do. */
class FakeCarrier implements Carrier {
  readonly port: number;

  constructor(
    readonly flow: UdpFlow,
    readonly endpoint: string,
    readonly log: string[],
  ) {
    this.port = log.push(`open ${endpoint}`);
  }

  send(sender: DatagramSender): number {
    this.log.push(`send ${sender.count} to ${this.endpoint}`);
    return sender.count;
  }

  drain(): void {
    this.log.push(`drain ${this.endpoint}`);
  }

  retire(): void {
    this.log.push(`leave ${this.endpoint}`);
    this.flow.previousCarrier = this;
    this.flow.carrier = null;
  }

  close(): void {
    this.log.push(`close ${this.endpoint}`);
    if (this.flow.previousCarrier === this) this.flow.previousCarrier = null;
    else this.flow.carrier = null;
  }
}

/** The flow of one client, by carriers that are no sockets. */
class OneClient {
  /** What carriers were told, in this order. */
  readonly log: string[] = [];
  readonly events: DataplaneEvent[] = [];
  /** By endpoint: the errno for which no carrier to it can be opened. */
  readonly errors = new Map<string, number>();
  readonly portal = servedPortal({ protocol: 'UDP', endpoints: ENDPOINTS });
  readonly table = new FlowTable(8);
  readonly mover: FlowMover;
  readonly #inbox = new Inbox();
  readonly #lifetimes = new FlowLifetimes(new EventLoop(), this.table, this.#inbox, null);
  readonly #listener: ListeningSocket;
  readonly #socket = createSocket('udp4');

  constructor(t: Test) {
    const fd = listenDatagram({ address: '127.0.0.1', port: 0, sharing: 'nobody', freeBind: false }, 65536);
    this.#listener = { fd, portal: this.portal, flows: new Set() };
    t.teardown(() => {
      this.#socket.close();
      closeSocket(fd);
    });
    this.mover = new FlowMover(
      this.#lifetimes,
      (flow) => this.#open(flow),
      (event) => this.events.push(event),
    );
  }

  #open(flow: UdpFlow): FakeCarrier | number {
    const { id } = flow.target;
    return this.errors.get(id) ?? new FakeCarrier(flow, id, this.log);
  }

  /** Sends a datagram. @returns its flow, once it is filed */
  async ask(): Promise<UdpFlow> {
    const { fd } = this.#listener;
    this.#socket.send('question', localAddress(fd).port, '127.0.0.1');
    while (this.#inbox.receive(fd) !== 1) await sleep(1);
    const slot = this.#inbox.first;
    const head = this.#inbox.head(slot);
    const flow = this.table.find(this.#listener, head) ?? this.#lifetimes.begin(this.#listener, head, 64);
    this.#inbox.file(slot, flow, this.#lifetimes.loop.now);
    return flow as UdpFlow;
  }
}

t.test('a new flow gets a carrier to the first endpoint that can be had', async (t) => {
  const client = new OneClient(t);
  client.errors.set('a', EHOSTUNREACH);
  const flow = await client.ask();
  t.equal(client.mover.openCarrier(flow), true);
  t.same(client.log, ['open b']);
  t.match(client.events, [{ kind: 'endpointFailed', endpoint: '10.0.1.1:1', reason: 'EHOSTUNREACH' }]);
});

t.test('a flow ends when no endpoint can be had', async (t) => {
  const client = new OneClient(t);
  for (const { id } of ENDPOINTS) client.errors.set(id, EHOSTUNREACH);
  t.equal(client.mover.openCarrier(await client.ask()), false);
  t.equal(client.events.length, ENDPOINTS.length, 'each was tried once');
  t.equal(client.table.size, 0);
});

t.test('a flow ends when this node is short of something, and no endpoint is blamed', async (t) => {
  const client = new OneClient(t);
  client.errors.set('a', EMFILE);
  t.equal(client.mover.openCarrier(await client.ask()), false);
  t.match(client.events, [{ kind: 'descriptorsOut' }]);
  t.equal(client.table.size, 0);
});

t.test('another endpoint gets what the one that refuses has not answered', async (t) => {
  const client = new OneClient(t);
  const flow = await client.ask();
  client.mover.openCarrier(flow);
  await client.ask();
  client.mover.answered(flow);
  await client.ask();
  client.log.length = 0;
  client.mover.refused(flow, ECONNREFUSED, false);
  t.same(client.log, ['drain a', 'close a', 'open b', 'send 1 to b']);
});

t.test('a complaint without proof moves a flow only once the endpoint was asked again', async (t) => {
  const client = new OneClient(t);
  const flow = await client.ask();
  client.mover.openCarrier(flow);
  client.log.length = 0;
  client.mover.suspected(flow, ECONNREFUSED);
  t.same(client.log, ['send 1 to a']);
  client.mover.suspected(flow, ECONNREFUSED);
  t.same(client.log.slice(1), ['drain a', 'close a', 'open b', 'send 1 to b']);
});

t.test(
  'a flow leaves an endpoint that is no longer one of the Service’s, and ends with its last carrier',
  async (t) => {
    const client = new OneClient(t);
    const flow = await client.ask();
    client.mover.openCarrier(flow);
    client.portal.balancer.update({ endpoints: ENDPOINTS.slice(1), policy: DEFAULT_POLICY });
    t.equal(client.mover.moveIfNeeded(await client.ask()), true);
    t.match(client.log, ['open a', 'leave a', /^open [bc]$/]);
    client.portal.balancer.update({ endpoints: [], policy: DEFAULT_POLICY });
    t.equal(client.mover.moveIfNeeded(await client.ask()), false);
    t.match(client.log.slice(3), [/^close [bc]$/, 'close a']);
    t.equal(client.table.size, 0);
  },
);
