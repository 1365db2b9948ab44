import '../../redirect/namespace.js';
import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { addressBytes } from '../../../lib/net/address.js';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../lib/sys/constants.js';
import { EEXIST } from '../../../lib/sys/errno.js';
import { ConntrackSocket } from '../../../lib/sys/netlink/conntrack.js';
import { STATUS, TCP_STATE, type TrackedFlow } from '../../../lib/sys/netlink/flow.js';
import { FlowBatch } from '../../../lib/sys/netlink/flowbatch.js';
import { SocketAddress } from '../../../lib/sys/sockaddr.js';
import { sh } from '../../redirect/namespace.js';

t.setTimeout(0);

const FAMILIES = ['IPv4', 'IPv6'] as const;
const PROTOCOLS = { TCP: IPPROTO_TCP, UDP: IPPROTO_UDP } as const;
/** All but the VIP are addresses of this namespace. A packet to the VIP needs a route to meet netfilter. */
const ADDRESSES = {
  IPv4: { client: '10.0.0.1', node: '10.0.0.2', endpoint: '10.0.0.3', other: '10.0.0.4', vip: '10.96.0.1' },
  IPv6: { client: 'fd00::1', node: 'fd00::2', endpoint: 'fd00::3', other: 'fd00::4', vip: 'fd00:96::1' },
} as const;
const MARK = 0x4123_4567;
const VIP_PORT = 80;

/** The kernel tracks and translates only where a rule translates something. */
for (const tables of ['iptables', 'ip6tables'])
  sh(`${tables} -t nat -A PREROUTING -p udp --dport 1 -j REDIRECT`);
for (const family of FAMILIES) {
  const { vip, ...own } = ADDRESSES[family];
  for (const address of Object.values(own)) sh(`ip addr add ${address} dev lo`);
  sh(`ip route add ${vip} dev lo`);
}

const conntrack = ConntrackSocket.open();
const batch = FlowBatch.open();
t.teardown(() => {
  conntrack.close();
  batch.close();
});

type Family = (typeof FAMILIES)[number];
type Protocol = keyof typeof PROTOCOLS;

interface Route {
  readonly family: Family;
  readonly protocol: Protocol;
  readonly clientPort: number;
}

/** Queues that the client's packets to the VIP go to the endpoint. */
function replace(
  { family, protocol, clientPort }: Route,
  endpoint: AddressInfo,
  source: string | null = null,
  mark = MARK,
): number {
  const { client, vip } = ADDRESSES[family];
  return batch.replace(
    PROTOCOLS[protocol],
    SocketAddress.of(client, clientPort),
    SocketAddress.of(vip, VIP_PORT),
    SocketAddress.of(endpoint.address, endpoint.port),
    source === null ? null : SocketAddress.of(source, 0),
    mark,
  );
}

function entryOf({ family, protocol, clientPort }: Route): TrackedFlow | null {
  const { client, vip } = ADDRESSES[family];
  return conntrack.get({
    protocol,
    source: { address: Uint8Array.from(addressBytes(client)), port: clientPort },
    destination: { address: Uint8Array.from(addressBytes(vip)), port: VIP_PORT },
    zone: 0,
  });
}

/** Commits one position. @returns its code */
function commitOne(position: number): number {
  t.equal(position, 0, 'it is the only position');
  t.equal(batch.commit(), 0);
  return batch.codeOf(0);
}

/** A server that answers each client with the name, the address and the port that it sees. */
interface Endpoint extends AsyncDisposable {
  readonly at: AddressInfo;
}

const seen = (name: string, address = '', port = 0) => `${name} sees ${address} ${port}`;

async function tcpEndpoint(address: string, name: string): Promise<Endpoint> {
  const server = createServer((socket: Socket) => {
    socket.end(seen(name, socket.remoteAddress, socket.remotePort));
  });
  server.listen(0, address);
  await once(server, 'listening');
  const close = async () => {
    server.close();
    await once(server, 'close');
  };
  return { at: server.address() as AddressInfo, [Symbol.asyncDispose]: close };
}

async function udpEndpoint(address: string, name: string): Promise<Endpoint> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (_, from: RemoteInfo) =>
    socket.send(seen(name, from.address, from.port), from.port, from.address),
  );
  socket.bind(0, address);
  await once(socket, 'listening');
  const close = async () => {
    socket.close();
    await once(socket, 'close');
  };
  return { at: socket.address(), [Symbol.asyncDispose]: close };
}

const ENDPOINTS = { TCP: tcpEndpoint, UDP: udpEndpoint } as const;

/** Asks the VIP from the client's port. @returns the answer, which must come from the VIP */
const ASK = {
  async TCP(family: Family, localPort: number): Promise<string> {
    const { client, vip } = ADDRESSES[family];
    const socket = connect({ host: vip, port: VIP_PORT, localAddress: client, localPort });
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    await once(socket, 'close');
    return answer;
  },
  async UDP(family: Family, localPort: number): Promise<string> {
    const { client, vip } = ADDRESSES[family];
    const socket = createSocket(family === 'IPv4' ? 'udp4' : 'udp6');
    socket.bind(localPort, client);
    await once(socket, 'listening');
    socket.send('?', VIP_PORT, vip);
    const [answer, { address, port }] = (await once(socket, 'message')) as [Buffer, RemoteInfo];
    t.same({ address, port }, { address: vip, port: VIP_PORT }, 'the answer comes from the VIP');
    socket.close();
    return answer.toString();
  },
} as const;

let nextPort = 20_000;
for (const family of FAMILIES) {
  for (const protocol of ['TCP', 'UDP'] as const) {
    const { client, node, endpoint: endpointAddress, other } = ADDRESSES[family];
    const route = () => ({ family, protocol, clientPort: nextPort++ });

    t.test(`${family} ${protocol}: the kernel carries packets to the endpoint`, async (t) => {
      const flow = route();
      await using endpoint = await ENDPOINTS[protocol](endpointAddress, 'endpoint');
      t.equal(commitOne(replace(flow, endpoint.at)), 0);
      const { mark, status, tcpState, timeout } = entryOf(flow) as TrackedFlow;
      t.equal(mark, MARK);
      t.equal(status & (STATUS.confirmed | STATUS.seenReply | STATUS.assured), STATUS.confirmed);
      t.equal(tcpState, protocol === 'TCP' ? TCP_STATE.synSent : null);
      t.ok(timeout > 0 && timeout <= 30, `${timeout} s`);
      t.equal(await ASK[protocol](family, flow.clientPort), seen('endpoint', client, flow.clientPort));
      t.ok(((entryOf(flow) as TrackedFlow).status & STATUS.seenReply) !== 0, 'answers are seen');
    });

    t.test(`${family} ${protocol}: and translates the client's address where that is wanted`, async (t) => {
      const flow = route();
      await using endpoint = await ENDPOINTS[protocol](endpointAddress, 'endpoint');
      t.equal(commitOne(replace(flow, endpoint.at, node)), 0);
      t.equal(await ASK[protocol](family, flow.clientPort), seen('endpoint', node, flow.clientPort));
    });

    t.test(`${family} ${protocol}: two clients with one port get two ports of the node`, async (t) => {
      const flow = route();
      await using endpoint = await ENDPOINTS[protocol](endpointAddress, 'endpoint');
      const neighbour = batch.replace(
        PROTOCOLS[protocol],
        SocketAddress.of(other, flow.clientPort),
        SocketAddress.of(ADDRESSES[family].vip, VIP_PORT),
        SocketAddress.of(endpoint.at.address, endpoint.at.port),
        SocketAddress.of(node, 0),
        MARK,
      );
      const own = replace(flow, endpoint.at, node);
      t.equal(batch.commit(), 0);
      t.same(
        [neighbour, own].map((position) => batch.codeOf(position)),
        [0, 0],
      );
      const answer = await ASK[protocol](family, flow.clientPort);
      t.match(answer, `endpoint sees ${node} `);
      t.not(answer, seen('endpoint', node, flow.clientPort));
    });

    t.test(
      `${family} ${protocol}: a replaced flow goes to the new endpoint, an ended one nowhere`,
      async (t) => {
        const flow = route();
        await using first = await ENDPOINTS[protocol](endpointAddress, 'first');
        await using second = await ENDPOINTS[protocol](other, 'second');
        t.equal(commitOne(replace(flow, first.at)), 0);
        t.equal(await ASK[protocol](family, flow.clientPort), seen('first', client, flow.clientPort));
        t.equal(commitOne(replace(flow, second.at, null, 1)), 0);
        t.equal((entryOf(flow) as TrackedFlow).mark, 1);
        const moved = { ...flow, clientPort: protocol === 'UDP' ? flow.clientPort : nextPort++ };
        if (protocol === 'TCP') t.equal(commitOne(replace(moved, second.at)), 0);
        t.equal(await ASK[protocol](family, moved.clientPort), seen('second', client, moved.clientPort));
        const from = SocketAddress.of(client, flow.clientPort);
        const vip = SocketAddress.of(ADDRESSES[family].vip, VIP_PORT);
        t.equal(commitOne(batch.end(PROTOCOLS[protocol], from, vip)), 0);
        t.equal(entryOf(flow), null);
        t.equal(
          commitOne(batch.end(PROTOCOLS[protocol], from, vip)),
          0,
          'an entry that is not there is no error',
        );
      },
    );
  }
}

for (const family of FAMILIES) {
  const { client, vip, node, endpoint: endpointAddress } = ADDRESSES[family];

  t.test(`${family}: a flow that a socket relayed goes on, and the endpoint sees no change`, async (t) => {
    const flow = { family, protocol: 'UDP', clientPort: nextPort++ } as const;
    await using endpoint = await udpEndpoint(endpointAddress, 'endpoint');
    const relay = createSocket(family === 'IPv4' ? 'udp4' : 'udp6');
    relay.bind(0, node);
    await once(relay, 'listening');
    relay.connect(endpoint.at.port, endpointAddress);
    await once(relay, 'connect');
    relay.send('?');
    const [answer] = await once(relay, 'message');
    const { port } = relay.address();
    t.equal(`${answer}`, seen('endpoint', node, port), 'the socket has an entry of its own');
    const from = SocketAddress.of(client, flow.clientPort);
    const to = SocketAddress.of(vip, VIP_PORT);
    const [at, source] = [SocketAddress.of(endpointAddress, endpoint.at.port), SocketAddress.of(node, port)];
    t.equal(commitOne(batch.takeOver(from, to, at, source, MARK)), 0);
    const { status, mark } = entryOf(flow) as TrackedFlow;
    t.equal(mark, MARK);
    const established = STATUS.confirmed | STATUS.seenReply | STATUS.assured;
    t.equal(status & established, established);
    t.equal(await ASK.UDP(family, flow.clientPort), seen('endpoint', node, port));
    t.equal(commitOne(batch.takeOver(from, to, at, source, MARK)), 0, 'in the place of itself');
    t.equal(await ASK.UDP(family, flow.clientPort), seen('endpoint', node, port));
    relay.close();
  });
}

t.test('a batch has all kinds of flows, and each position its own result', async (t) => {
  const positions: [Route, number][] = [];
  for (const family of FAMILIES) {
    for (const protocol of ['UDP', 'TCP'] as const) {
      for (const source of [null, ADDRESSES[family].node]) {
        const flow = { family, protocol, clientPort: nextPort++ };
        const at = { address: ADDRESSES[family].endpoint, port: 8080, family };
        positions.push([flow, replace(flow, at, source, nextPort)]);
      }
    }
  }
  t.equal(batch.size, 8);
  t.notOk(batch.isFull);
  t.equal(batch.commit(), 0);
  t.equal(batch.size, 0);
  for (const [flow, position] of positions) {
    t.equal(batch.codeOf(position), 0);
    const { reply, mark } = entryOf(flow) as TrackedFlow;
    t.equal(mark, flow.clientPort + 1);
    t.strictSame(reply.source.address, Uint8Array.from(addressBytes(ADDRESSES[flow.family].endpoint)));
    t.equal(reply.source.port, 8080);
    t.equal(reply.destination.port, flow.clientPort);
  }
});

for (const family of FAMILIES) {
  t.test(`a client that keeps its address keeps its port or not, as is wanted: ${family}`, async (t) => {
    const { client, endpoint, vip } = ADDRESSES[family];
    const [from, to] = [SocketAddress.of(client, 4321), SocketAddress.of(endpoint, 8080)];
    const place = SocketAddress.of(vip, VIP_PORT);
    const insert = (source: SocketAddress | null) =>
      commitOne(batch.insert(IPPROTO_UDP, from, place, to, source, MARK));
    const portAtEndpoint = () =>
      entryOf({ family, protocol: 'UDP', clientPort: 4321 })?.reply.destination.port;
    const end = () => t.equal(commitOne(batch.end(IPPROTO_UDP, from, place)), 0);
    t.equal(insert(from), 0);
    t.equal(portAtEndpoint(), 4321);
    end();
    // The client has a flow of its own to the endpoint.
    t.equal(commitOne(batch.insert(IPPROTO_UDP, from, to, to, null, MARK)), 0);
    t.equal(insert(from), EEXIST);
    t.equal(portAtEndpoint(), undefined);
    t.equal(insert(null), 0);
    t.not(portAtEndpoint(), 4321);
    end();
    t.equal(commitOne(batch.end(IPPROTO_UDP, from, to)), 0);
  });
}

t.test('an insertion leaves an entry that is there as it is', async (t) => {
  for (const family of FAMILIES) {
    const { client, vip, endpoint, other } = ADDRESSES[family];
    const flow = { family, protocol: 'TCP', clientPort: nextPort++ } as const;
    const [from, to] = [SocketAddress.of(client, flow.clientPort), SocketAddress.of(vip, VIP_PORT)];
    const insert = (address: string) =>
      commitOne(batch.insert(IPPROTO_TCP, from, to, SocketAddress.of(address, 8080), null, MARK));
    t.equal(insert(endpoint), 0);
    t.equal(insert(other), EEXIST);
    const { reply, mark } = entryOf(flow) as TrackedFlow;
    t.strictSame(reply.source.address, Uint8Array.from(addressBytes(endpoint)), family);
    t.equal(mark, MARK);
  }
});

t.test('an entry for which the node has no port left fails alone', async (t) => {
  // A client's port below 512 is translated to such a port only (nf_nat_l4proto_unique_tuple).
  const { client, other, node, endpoint, vip } = ADDRESSES.IPv4;
  const [to, at, from] = [
    SocketAddress.of(vip, 80),
    SocketAddress.of(endpoint, 9),
    SocketAddress.of(node, 0),
  ];
  const queue = (address: string, port: number) =>
    batch.replace(IPPROTO_UDP, SocketAddress.of(address, port), to, at, from, MARK);
  for (let port = 1; port < 512; port++) {
    queue(client, port);
    if (batch.isFull) t.equal(batch.commit(), 0);
  }
  t.equal(batch.commit(), 0);
  const refused = queue(other, 100);
  const fine = queue(other, 5000);
  t.equal(batch.commit(), 0);
  t.equal(batch.codeOf(refused), EEXIST);
  t.equal(batch.codeOf(fine), 0);
});

t.test('a batch takes as many positions as it has room for', async (t) => {
  const small = FlowBatch.open(2);
  const [client, vip] = [SocketAddress.of('10.0.0.1', 1), SocketAddress.of('10.96.0.1', 2)];
  t.equal(small.commit(), 0, 'nothing is queued');
  small.end(IPPROTO_TCP, client, vip);
  small.replace(IPPROTO_TCP, client, vip, client, null, 0);
  t.ok(small.isFull);
  t.throws(() => small.end(IPPROTO_TCP, client, vip), RangeError);
  t.equal(small.commit(), 0);
  t.notOk(small.isFull);
  small.close();
});

t.test('without the right to change entries, there is no batch', async (t) => {
  const program = `
    import { FlowBatch } from '${new URL('../../../lib/sys/netlink/flowbatch.js', import.meta.url).href}';
    try { FlowBatch.open(); } catch (error) { process.stdout.write(error.message); }`;
  const command = `setpriv --bounding-set -net_admin --inh-caps -net_admin "${process.execPath}" --input-type=module`;
  t.equal(sh(command, program), 'conntrack entry: EPERM');
});
