import '../../redirect/namespace.js';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t from 'tap';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../lib/sys/constants.js';
import { EAGAIN, ENOBUFS } from '../../../lib/sys/errno.js';
import { FlowBatch } from '../../../lib/sys/netlink/flowbatch.js';
import { FlowEvents } from '../../../lib/sys/netlink/flowevents.js';
import type { FlowReader } from '../../../lib/sys/netlink/flowreader.js';
import { SocketAddress } from '../../../lib/sys/sockaddr.js';
import { sh } from '../../redirect/namespace.js';

t.setTimeout(0);

const MASK = 0x7000_0000;
const OWN = 0x5000_0000;
const VIP = { IPv4: '10.96.0.1', IPv6: 'fd00:96::1' } as const;
const CLIENT = { IPv4: '10.0.0.1', IPv6: 'fd00::1' } as const;
const ENDPOINT = { IPv4: '10.0.0.2', IPv6: 'fd00::2' } as const;
const NODE = { IPv4: '10.0.0.3', IPv6: 'fd00::3' } as const;

for (const tables of ['iptables', 'ip6tables'])
  sh(`${tables} -t nat -A PREROUTING -p udp --dport 1 -j REDIRECT`);
for (const family of ['IPv4', 'IPv6'] as const) {
  for (const own of [CLIENT, ENDPOINT, NODE]) sh(`ip addr add ${own[family]} dev lo`);
  sh(`ip route add ${VIP[family]} dev lo`);
}
sh('sysctl -qw net.netfilter.nf_conntrack_acct=1');

const events = FlowEvents.open([OWN], MASK);
const batch = FlowBatch.open();
t.teardown(() => {
  events.close();
  batch.close();
});

interface Ended {
  readonly protocol: number;
  readonly client: string;
  readonly vip: string;
  readonly endpoint: string;
  readonly source: string;
  readonly mark: number;
}

const text = ({ address, port }: SocketAddress) => `${address} ${port}`;

function copyOf({ protocol, client, vip, endpoint, source, mark }: FlowReader): Ended {
  return {
    protocol,
    client: text(client),
    vip: text(vip),
    endpoint: text(endpoint),
    source: text(source),
    mark,
  };
}

/** What {@link FlowEvents.receive} tells until it has nothing more to tell. */
function ended<T = Ended>(copy: (flow: FlowReader) => T): T[] {
  const all: T[] = [];
  let code = 0;
  while (code === 0) code = events.receive((flow) => all.push(copy(flow)));
  t.equal(code, EAGAIN);
  return all;
}

type Family = keyof typeof VIP;

function insert(protocol: 6 | 17, family: Family, port: number, mark: number, translates = false): void {
  const source = translates ? SocketAddress.of(NODE[family], 0) : null;
  const client = SocketAddress.of(CLIENT[family], port);
  const vip = SocketAddress.of(VIP[family], 80);
  batch.replace(protocol, client, vip, SocketAddress.of(ENDPOINT[family], 8080), source, mark);
}

function end(protocol: 6 | 17, family: Family, port: number): void {
  batch.end(protocol, SocketAddress.of(CLIENT[family], port), SocketAddress.of(VIP[family], 80));
}

t.test('the end of a flow is told with all its addresses', async (t) => {
  t.same(ended(copyOf), []);
  for (const family of ['IPv4', 'IPv6'] as const) {
    for (const protocol of [IPPROTO_TCP, IPPROTO_UDP] as const) {
      insert(protocol, family, 1000, OWN | 5);
      insert(protocol, family, 1001, OWN, true);
      for (const port of [1000, 1001]) end(protocol, family, port);
      t.equal(batch.commit(), 0);
      const common = { protocol, vip: `${VIP[family]} 80`, endpoint: `${ENDPOINT[family]} 8080` };
      t.strictSame(ended(copyOf), [
        { ...common, client: `${CLIENT[family]} 1000`, source: `${CLIENT[family]} 1000`, mark: OWN | 5 },
        { ...common, client: `${CLIENT[family]} 1001`, source: `${NODE[family]} 1001`, mark: OWN },
      ]);
    }
  }
});

t.test('flows with other marks are not told', async (t) => {
  const marks = [0, 0x4000_0000, 0x7000_0000, 0x1000_0000, 5, OWN | 0xfff];
  for (const [port, mark] of marks.entries()) insert(IPPROTO_UDP, 'IPv4', 1 + port, mark);
  for (const port of marks.keys()) end(IPPROTO_UDP, 'IPv4', 1 + port);
  t.equal(batch.commit(), 0);
  t.same(
    ended(({ mark }) => mark),
    [OWN | 0xfff],
  );
});

t.test('several marks may be told', async (t) => {
  const several = FlowEvents.open([0x4000_0000, 0x6000_0000, 0x7000_0000], MASK);
  const marks = [0, 0x4000_0001, OWN, 0x6000_0002, 0x7000_0003, 0x2000_0000];
  for (const [port, mark] of marks.entries()) insert(IPPROTO_UDP, 'IPv4', 1 + port, mark);
  for (const port of marks.keys()) end(IPPROTO_UDP, 'IPv4', 1 + port);
  t.equal(batch.commit(), 0);
  const told: number[] = [];
  t.equal(
    several.receive(({ mark }) => told.push(mark)),
    0,
  );
  t.same(told, [0x4000_0001, 0x6000_0002, 0x7000_0003]);
  several.close();
  ended(copyOf);
});

for (const family of ['IPv4', 'IPv6'] as const) {
  t.test(`the counters are those of the whole flow: ${family}`, async (t) => {
    const header = family === 'IPv4' ? 28 : 48;
    const type = family === 'IPv4' ? 'udp4' : 'udp6';
    const [client, server] = [createSocket(type), createSocket(type)];
    server.on('message', (payload, { port, address }) => server.send(payload.subarray(0, 10), port, address));
    client.bind(2000, CLIENT[family]);
    server.bind(8080, ENDPOINT[family]);
    await Promise.all([once(client, 'listening'), once(server, 'listening')]);
    insert(IPPROTO_UDP, family, 2000, OWN);
    t.equal(batch.commit(), 0);
    for (let i = 0; i < 3; i++) {
      client.send(Buffer.alloc(100), 80, VIP[family]);
      await once(client, 'message');
    }
    client.close();
    server.close();
    end(IPPROTO_UDP, family, 2000);
    t.equal(batch.commit(), 0);
    const counters = ended((flow) => {
      const { hasCounters, packetsIn, bytesIn, packetsOut, bytesOut } = flow;
      return { hasCounters, packetsIn, bytesIn, packetsOut, bytesOut };
    });
    t.same(counters, [
      {
        hasCounters: true,
        packetsIn: 3,
        bytesIn: 3 * (header + 100),
        packetsOut: 3,
        bytesOut: 3 * (header + 10),
      },
    ]);
  });
}

t.test('without nf_conntrack_acct a flow has no counters', async (t) => {
  sh('sysctl -qw net.netfilter.nf_conntrack_acct=0');
  insert(IPPROTO_UDP, 'IPv4', 1, OWN);
  end(IPPROTO_UDP, 'IPv4', 1);
  t.equal(batch.commit(), 0);
  const counters = ended(({ hasCounters, packetsIn, bytesOut }) => [hasCounters, packetsIn, bytesOut]);
  t.same(counters, [[false, 0, 0]]);
});

t.test('what the kernel could not keep is told, and then goes on', async (t) => {
  const flows = 40_000;
  for (const queue of [
    (port: number) => insert(IPPROTO_UDP, 'IPv4', port, OWN),
    (port: number) => end(IPPROTO_UDP, 'IPv4', port),
  ]) {
    for (let port = 1; port <= flows; port++) {
      queue(port);
      if (batch.isFull || port === flows) t.equal(batch.commit(), 0);
    }
  }
  const codes: number[] = [];
  let told = 0;
  while (codes.at(-1) !== EAGAIN) {
    const code = events.receive(() => told++);
    if (code !== 0) codes.push(code);
  }
  t.same(codes, [ENOBUFS, EAGAIN]);
  t.ok(told > 0 && told < flows, `${told}`);
  insert(IPPROTO_UDP, 'IPv4', 1, OWN);
  end(IPPROTO_UDP, 'IPv4', 1);
  t.equal(batch.commit(), 0);
  t.equal(ended(() => 1).length, 1);
});
