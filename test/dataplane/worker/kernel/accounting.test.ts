import '../../../redirect/namespace.js';
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import t from 'tap';
import {
  type CounterField,
  createCounterMemory,
  FIELD,
  firstCell,
  workerCells,
} from '../../../../lib/dataplane/shared/counters.js';
import type { EndpointCounts } from '../../../../lib/dataplane/worker/endpointcounts.js';
import { Accounting } from '../../../../lib/dataplane/worker/kernel/accounting.js';
import { EndedFlows } from '../../../../lib/dataplane/worker/kernel/endedflows.js';
import { VipTable } from '../../../../lib/dataplane/worker/kernel/viptable.js';
import { EventLoop } from '../../../../lib/dataplane/worker/loop.js';
import type { ServedPortal } from '../../../../lib/dataplane/worker/servedportal.js';
import type { Target } from '../../../../lib/dataplane/worker/target.js';
import { DEFAULT_POLICY } from '../../../../lib/portal/policy.js';
import type { Endpoint } from '../../../../lib/portal/portal.js';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../../lib/sys/constants.js';
import { ConntrackSocket } from '../../../../lib/sys/netlink/conntrack.js';
import { FlowBatch } from '../../../../lib/sys/netlink/flowbatch.js';
import { FlowEvents } from '../../../../lib/sys/netlink/flowevents.js';
import { atOnce } from '../../../../lib/sys/netlink/steps.js';
import { SocketAddress } from '../../../../lib/sys/sockaddr.js';
import { item } from '../../../lab/items.js';
import { sh } from '../../../redirect/namespace.js';
import { servedPortal } from '../fixtures.js';

t.setTimeout(0);

/** Ten of them, ms: after that time the table is read again, however long it took before. */
const MINUTES = 600_000;
const MARK = 0x5000_0000;
const MASK = 0x7000_0000;
const VIP = { IPv4: '10.96.0.1', IPv6: 'fd00:96::1' } as const;
const CLIENT = { IPv4: '10.0.0.1', IPv6: 'fd00::1' } as const;
const ENDPOINT = { IPv4: '10.0.0.2', IPv6: 'fd00::2' } as const;

for (const tables of ['iptables', 'ip6tables'])
  sh(`${tables} -t nat -A PREROUTING -p udp --dport 1 -j REDIRECT`);
for (const family of ['IPv4', 'IPv6'] as const) {
  for (const own of [CLIENT, ENDPOINT]) sh(`ip addr add ${own[family]} dev lo`);
  sh(`ip route add ${VIP[family]} dev lo`);
}
sh('sysctl -qw net.netfilter.nf_conntrack_acct=1');

const batch = FlowBatch.open();
t.teardown(() => batch.close());

type Family = keyof typeof VIP;

interface Options {
  readonly protocol?: 'TCP' | 'UDP';
  readonly family?: Family;
  readonly isMarkShared?: boolean;
  readonly marks?: readonly number[];
}

/**
 * A worker with one portal whose clients the kernel carries. Its loop stands still: each test says what is
 * next.
 */
class Stage {
  portal: ServedPortal;
  readonly protocol: 'TCP' | 'UDP';
  readonly family: Family;
  readonly loop = new EventLoop();
  readonly accounting = new Accounting(this.loop, { TCP: new VipTable(), UDP: new VipTable() });
  readonly #cells = workerCells(createCounterMemory(1), 0);
  readonly #events: FlowEvents;
  readonly #ended: EndedFlows;
  readonly conntrack = ConntrackSocket.open();

  constructor({ protocol = 'UDP', family = 'IPv4', isMarkShared = false, marks = [MARK] }: Options = {}) {
    this.#events = FlowEvents.open(marks, MASK);
    this.#ended = new EndedFlows(this.loop, this.#events);
    this.protocol = protocol;
    this.family = family;
    this.portal = this.#newPortal();
    this.#setVips(80);
    this.accounting.start({
      ended: this.#ended,
      conntrack: this.conntrack,
      marks,
      mask: MASK,
      isMarkShared,
    });
  }

  /** The portal's counters that are not 0. */
  get counts(): Partial<Record<CounterField, number>> {
    const at = firstCell(1);
    const all = Object.entries(FIELD).map(([name, field]) => [name, this.#cells[at + field]] as const);
    return Object.fromEntries(all.filter(([, value]) => value !== 0));
  }

  /** The portal's only endpoint, as the worker has it now. */
  get target(): Target {
    return item(this.portal.balancer.rotation.targets, 0);
  }

  /** What the endpoint has had of what the kernel carries. */
  get ofEndpoint(): Partial<EndpointCounts> {
    const { carriedActive, datagramsIn, datagramsOut, bytesIn, bytesOut } = this.target.counts;
    return { carriedActive, datagramsIn, datagramsOut, bytesIn, bytesOut };
  }

  /** Sets the portal's endpoints. */
  setEndpoints(endpoints: readonly Endpoint[]): void {
    this.portal.balancer.update({ endpoints, policy: DEFAULT_POLICY });
  }

  /** The portal's endpoint, as the control plane has it. */
  get endpoint(): Endpoint {
    return { id: 'pod', address: ENDPOINT[this.family], port: 8080 };
  }

  /** The kernel takes entries for clients with the ports `from` up to `to`. */
  enter(from: number, to = from, mark = MARK): void {
    this.#each(from, to, (client, vip) => {
      const endpoint = SocketAddress.of(ENDPOINT[this.family], 8080);
      batch.replace(this.#number, client, vip, endpoint, null, mark);
    });
  }

  /** As {@link enter}, and the accounting is told. */
  handOver(from: number, to = from): void {
    this.enter(from, to);
    for (let port = from; port <= to; port++) this.accounting.entered(this.portal, this.target, this.#number);
  }

  end(from: number, to = from): void {
    this.#each(from, to, (client, vip) => batch.end(this.#number, client, vip));
  }

  /** Gives the portal one more VIP. */
  changeVips(): void {
    this.#setVips(80, 81);
  }

  /** Another portal takes the place, the VIP and the counters of the portal. */
  replacePortal(): void {
    this.accounting.remove(this.portal, this.protocol);
    this.#cells.fill(0);
    this.portal = this.#newPortal();
    this.#setVips(80);
  }

  /** A count that is due, before any message is read. */
  count(): void {
    this.accounting.expire(this.loop.readClock() + MINUTES);
  }

  /** Lets the accounting do all that is due by a time, ms from now. */
  turn(inMs = 0): void {
    this.#hear();
    const until = this.loop.readClock() + inMs;
    while (this.accounting.deadline <= until) this.accounting.expire(until);
  }

  /** As the loop does, to which a pause is nothing. */
  #hear(): void {
    while (this.#ended.onReady() === 0) {
      if (this.#ended.deadline !== Number.POSITIVE_INFINITY) this.#ended.expire();
    }
  }

  /** Ends the entries and the stage. */
  close(from: number, to: number): void {
    this.end(from, to);
    this.#events.close();
    this.conntrack.close();
  }

  #newPortal(): ServedPortal {
    const { protocol, family, endpoint } = this;
    return servedPortal({ protocol, family, endpoints: [endpoint] }, this.#cells);
  }

  #setVips(...ports: number[]): void {
    const vips = ports.map((port) => ({ address: VIP[this.family], port, masquerade: 'never' }) as const);
    this.accounting.set(this.portal, this.protocol, vips);
  }

  get #number() {
    return this.protocol === 'TCP' ? IPPROTO_TCP : IPPROTO_UDP;
  }

  #each(from: number, to: number, queue: (client: SocketAddress, vip: SocketAddress) => void): void {
    const vip = SocketAddress.of(VIP[this.family], 80);
    const client = new SocketAddress();
    for (let port = from; port <= to; port++) {
      queue(client.set(CLIENT[this.family], port), vip);
      if (batch.isFull || port === to) t.equal(batch.commit(), 0);
    }
  }
}

/** A client that sends 100 bytes to the VIP, and a server that answers 10. */
class Talk implements AsyncDisposable {
  private constructor(
    readonly client: DatagramSocket,
    readonly server: DatagramSocket,
    readonly vip: string,
  ) {}

  /** @param server of another talk, unless it is to be a new one */
  static async start(family: Family, port: number, server?: DatagramSocket): Promise<Talk> {
    const type = family === 'IPv4' ? 'udp4' : 'udp6';
    const client = createSocket(type).bind(port, CLIENT[family]);
    await once(client, 'listening');
    return new Talk(client, server ?? (await Talk.#serve(type, ENDPOINT[family])), VIP[family]);
  }

  static async #serve(type: 'udp4' | 'udp6', endpoint: string): Promise<DatagramSocket> {
    const server = createSocket(type).bind(8080, endpoint);
    await once(server, 'listening');
    server.on('message', (payload, { port, address }) => server.send(payload.subarray(0, 10), port, address));
    return server;
  }

  async exchange(times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      this.client.send(Buffer.alloc(100), 80, this.vip);
      await once(this.client, 'message');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [this.client, this.server]) {
      try {
        socket.close();
      } catch {
        // Another talk has closed it.
      }
    }
  }
}

for (const [protocol, gauge] of [
  ['TCP', 'carriedConnectionsActive'],
  ['UDP', 'carriedFlowsActive'],
] as const) {
  for (const family of ['IPv4', 'IPv6'] as const) {
    t.test(`entries are counted until they end: ${protocol} ${family}`, async (t) => {
      const stage = new Stage({ protocol, family });
      stage.turn();
      stage.handOver(1, 100);
      t.same(stage.counts, { [gauge]: 100 });
      t.equal(stage.target.counts.carriedActive, 100);
      stage.end(1, 40);
      stage.turn();
      t.same(stage.counts, { [gauge]: 60 });
      t.equal(stage.target.counts.carriedActive, 60);
      stage.close(41, 100);
    });

    t.test(`entries of an earlier run are adopted: ${protocol} ${family}`, async (t) => {
      const earlier = new Stage({ protocol, family });
      earlier.handOver(1, 300);
      earlier.enter(301, 310, 0x4000_0000);
      const stage = new Stage({ protocol, family });
      t.same(stage.counts, {});
      stage.turn();
      t.same(stage.counts, { [gauge]: 300 });
      t.equal(stage.target.counts.carriedActive, 300);
      stage.end(1, 100);
      stage.turn();
      t.same(stage.counts, { [gauge]: 200 });
      t.equal(stage.target.counts.carriedActive, 200);
      earlier.close(301, 310);
      stage.close(101, 300);
    });
  }
}

t.test('entries whose ends nobody has heard yet are not taken off twice by a count', async (t) => {
  const stage = new Stage();
  stage.turn();
  stage.handOver(1, 50);
  stage.end(1, 20);
  stage.changeVips();
  stage.count();
  t.same(stage.counts, { carriedFlowsActive: 30 });
  stage.turn();
  t.same(stage.counts, { carriedFlowsActive: 30 });
  stage.end(21, 50);
  stage.turn();
  t.same(stage.counts, {});
  stage.close(1, 1);
});

for (const family of ['IPv4', 'IPv6'] as const) {
  t.test(`entries of an endpoint that goes and comes again are its own again: ${family}`, async (t) => {
    const stage = new Stage({ family });
    stage.turn();
    stage.handOver(1, 10);
    const before = stage.target;
    stage.setEndpoints([]);
    stage.end(1, 3);
    stage.turn();
    t.same(stage.counts, { carriedFlowsActive: 7 }, 'they are still counted for the portal');
    stage.setEndpoints([stage.endpoint]);
    t.not(stage.target, before);
    stage.end(4, 5);
    stage.turn();
    t.equal(stage.target.counts.carriedActive, 5);
    t.equal(before.counts.carriedActive, 0);
    stage.end(6, 10);
    stage.turn();
    t.equal(stage.target.counts.carriedActive, 0);
    stage.close(1, 1);
  });
}

t.test('entries of an earlier run count for an endpoint that is known later', async (t) => {
  const stage = new Stage();
  stage.setEndpoints([]);
  stage.enter(1, 10);
  stage.turn();
  t.same(stage.counts, { carriedFlowsActive: 10 });
  stage.setEndpoints([stage.endpoint]);
  stage.end(1, 4);
  stage.turn();
  t.equal(stage.target.counts.carriedActive, 6);
  stage.close(5, 10);
});

t.test('after messages were lost, the entries are counted', async (t) => {
  const [lost, left] = [45_000, 10];
  const stage = new Stage();
  stage.turn();
  stage.handOver(1, lost + left);
  stage.end(1, lost);
  stage.turn(MINUTES);
  t.same(stage.counts, { carriedFlowsActive: left });
  stage.close(lost + 1, lost + left);
});

t.test('where workers share a mark, only the first count tells whose entries there are', async (t) => {
  const stage = new Stage({ isMarkShared: true });
  stage.enter(1, 10);
  stage.turn();
  t.same(stage.counts, { carriedFlowsActive: 10 });
  stage.enter(11, 30);
  stage.changeVips();
  stage.turn(MINUTES);
  t.same(stage.counts, { carriedFlowsActive: 10 });
  stage.close(1, 30);
});

t.test('a worker may count entries with other marks too', async (t) => {
  const stage = new Stage({ marks: [MARK, 0x6000_0000] });
  stage.enter(1, 10, 0x6000_0000);
  stage.enter(11, 20, 0x7000_0000);
  stage.turn();
  stage.handOver(21, 25);
  t.same(stage.counts, { carriedFlowsActive: 15 });
  stage.end(1, 20);
  stage.turn();
  t.same(stage.counts, { carriedFlowsActive: 5 });
  stage.close(21, 25);
});

t.test('a new VIP is a reason to count only where entries may belong to it', async (t) => {
  const stage = new Stage();
  stage.turn();
  stage.changeVips();
  t.equal(stage.accounting.deadline, Number.POSITIVE_INFINITY, 'all entries are known: there are none');
  stage.handOver(1, 10);
  stage.replacePortal();
  t.not(stage.accounting.deadline, Number.POSITIVE_INFINITY, 'those of the first portal are there');
  stage.turn(MINUTES);
  t.same(stage.counts, { carriedFlowsActive: 10 });
  stage.close(1, 10);
});

t.test('entries to the VIPs of a removed portal are not counted', async (t) => {
  const stage = new Stage();
  stage.turn();
  stage.handOver(1, 10);
  stage.accounting.remove(stage.portal, 'UDP');
  stage.end(1, 10);
  stage.turn(MINUTES);
  t.same(stage.counts, { carriedFlowsActive: 10 }, 'its counters go to another portal');
  stage.close(1, 10);
});

for (const family of ['IPv4', 'IPv6'] as const) {
  t.test(`what entries carry is counted while they live, and once: ${family}`, async (t) => {
    const stage = new Stage({ family });
    stage.turn();
    await using talk = await Talk.start(family, 3000);
    stage.handOver(3000);
    await talk.exchange(3);
    t.same(stage.counts, { carriedFlowsActive: 1 });
    stage.turn(MINUTES);
    const [carriedFlowsActive, datagrams] = [1, { datagramsIn: 3, datagramsOut: 3 }];
    t.same(stage.counts, { carriedFlowsActive, ...datagrams, bytesIn: 300, bytesOut: 30 });
    await talk.exchange(2);
    stage.end(3000);
    stage.turn();
    const all = { datagramsIn: 5, datagramsOut: 5, bytesIn: 500, bytesOut: 50 };
    t.same(stage.counts, all);
    t.same(stage.ofEndpoint, { carriedActive: 0, ...all });
    stage.close(3000, 3000);
  });
}

t.test('counters do not fall when an entry ends that was read', async (t) => {
  const stage = new Stage();
  stage.turn();
  await using first = await Talk.start('IPv4', 3000);
  await using second = await Talk.start('IPv4', 3001, first.server);
  stage.handOver(3000, 3001);
  await first.exchange(5);
  await second.exchange(1);
  stage.turn(MINUTES);
  t.match(stage.counts, { datagramsIn: 6 });
  stage.end(3001);
  stage.turn();
  t.match(stage.counts, { datagramsIn: 6 });
  stage.end(3000);
  stage.turn();
  t.match(stage.counts, { datagramsIn: 6, bytesIn: 600 });
  stage.close(3000, 3001);
});

t.test('of TCP, bytes without headers are counted', async (t) => {
  const stage = new Stage({ protocol: 'TCP' });
  stage.turn();
  const server = createServer((socket) => socket.end(Buffer.alloc(100_000)));
  server.listen(8080, ENDPOINT.IPv4);
  await once(server, 'listening');
  stage.handOver(4000);
  const client = connect({ host: VIP.IPv4, port: 80, localAddress: CLIENT.IPv4, localPort: 4000 });
  client.end(Buffer.alloc(50_000));
  client.resume();
  await once(client, 'close');
  server.close();
  const { counters } = item(
    atOnce(stage.conntrack.list('IPv4', { original: { protocol: 'TCP', source: { port: 4000 } } })),
    0,
  );
  stage.end(4000);
  stage.turn();
  const { bytesIn = 0, bytesOut = 0, datagramsIn } = stage.counts;
  // Segments may have been sent twice. A packet may have a header of TCP that is a little shorter than usual.
  t.ok(bytesIn > 49_900 && bytesIn < (counters?.bytesIn ?? 0), `${bytesIn}`);
  t.ok(bytesOut > 99_900 && bytesOut < (counters?.bytesOut ?? 0), `${bytesOut}`);
  t.equal(datagramsIn, undefined);
  stage.close(4000, 4000);
});
