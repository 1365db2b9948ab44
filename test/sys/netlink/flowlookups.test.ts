import '../../redirect/namespace.js';
import t from 'tap';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../lib/sys/constants.js';
import { TCP_STATE } from '../../../lib/sys/netlink/flow.js';
import { FlowBatch } from '../../../lib/sys/netlink/flowbatch.js';
import { FlowLookups } from '../../../lib/sys/netlink/flowlookups.js';
import { SocketAddress } from '../../../lib/sys/sockaddr.js';
import { sh } from '../../redirect/namespace.js';

const ADDRESSES = {
  IPv4: { client: '10.0.0.1', endpoint: '10.0.0.3', vip: '10.96.0.1' },
  IPv6: { client: 'fd00::1', endpoint: 'fd00::3', vip: 'fd00:96::1' },
} as const;
const MARK = 0x4000_0007;

/** The kernel tracks flows only where a rule translates something. */
for (const tables of ['iptables', 'ip6tables'])
  sh(`${tables} -t nat -A PREROUTING -p udp --dport 1 -j REDIRECT`);

const batch = FlowBatch.open();
const lookups = FlowLookups.open();
t.teardown(() => {
  batch.close();
  lookups.close();
});

type Family = keyof typeof ADDRESSES;
type Protocol = typeof IPPROTO_TCP | typeof IPPROTO_UDP;

function insert(family: Family, protocol: Protocol, clientPort: number): void {
  const { client, vip, endpoint } = ADDRESSES[family];
  const to = SocketAddress.of(endpoint, 8080);
  batch.insert(protocol, SocketAddress.of(client, clientPort), SocketAddress.of(vip, 80), to, null, MARK);
  t.equal(batch.commit() || batch.codeOf(0), 0, 'the entry is made');
}

function ask(family: Family, protocol: Protocol, clientPort: number): number {
  const { client, vip } = ADDRESSES[family];
  return lookups.ask(protocol, SocketAddress.of(client, clientPort), SocketAddress.of(vip, 80));
}

/** Asks what is queued. @returns by position: port of the client, TCP state, mark and endpoint of its flow */
function answers(): Map<number, readonly unknown[]> {
  const found = new Map<number, readonly unknown[]>();
  const code = lookups.exchange((position, { client, tcpState, mark, endpoint }) => {
    found.set(position, [client.port, tcpState, mark, endpoint.address]);
  });
  t.equal(code, 0);
  return found;
}

for (const family of ['IPv4', 'IPv6'] as const) {
  t.test(`flows are found among others, ${family}`, (t) => {
    insert(family, IPPROTO_TCP, 1001);
    insert(family, IPPROTO_UDP, 1002);
    const { endpoint } = ADDRESSES[family];
    const missing = [ask(family, IPPROTO_TCP, 1002)];
    const tcp = ask(family, IPPROTO_TCP, 1001);
    missing.push(ask(family, IPPROTO_UDP, 1001));
    const udp = ask(family, IPPROTO_UDP, 1002);
    const found = answers();
    t.same(found.get(tcp), [1001, TCP_STATE.synSent, MARK, endpoint]);
    t.same(found.get(udp), [1002, 0, MARK, endpoint]);
    for (const position of missing) t.notOk(found.has(position), 'no answer for a flow that is not there');
    t.equal(found.size, 2);
    t.end();
  });
}

t.test('as many as there is room for are answered at once, and then the next', (t) => {
  for (let port = 2000; port < 2000 + lookups.capacity; port++) insert('IPv6', IPPROTO_TCP, port);
  for (const round of [1, 2]) {
    for (let port = 2000; port < 2000 + lookups.capacity; port++) ask('IPv6', IPPROTO_TCP, port);
    t.throws(() => ask('IPv6', IPPROTO_TCP, 1), RangeError);
    const ports = [...answers()].map(([position, [port]]) => [position, port]);
    const expected = Array.from({ length: lookups.capacity }, (_, index) => [index, 2000 + index]);
    t.same(ports, expected, `round ${round}`);
  }
  t.end();
});

t.test('without a question, nothing is asked', (t) => {
  t.equal(
    lookups.exchange(() => t.fail('nobody has asked')),
    0,
  );
  t.end();
});
