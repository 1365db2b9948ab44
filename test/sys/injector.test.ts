import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { addressBytes, addressText } from '../../lib/net/address.js';
import { sumOfBytes } from '../../lib/net/checksum.js';
import { PacketHeaders } from '../../lib/net/packet.js';
import { AF_INET, AF_INET6 } from '../../lib/sys/constants.js';
import { EMSGSIZE, EPERM, errno } from '../../lib/sys/errno.js';
import { PacketInjector } from '../../lib/sys/injector.js';
import { Memory } from '../../lib/sys/memory.js';
import { ConntrackSocket } from '../../lib/sys/netlink/conntrack.js';
import { STATUS, TCP_STATE } from '../../lib/sys/netlink/flow.js';
import { PacketQueue } from '../../lib/sys/netlink/packetqueue.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { isSound } from '../net/sound.js';
import { Pod, sh } from '../redirect/namespace.js';

t.setTimeout(0);

const QUEUE = 20480;
const VIP_PORT = 80;
const PORT = 8080;
const FAMILIES = ['IPv4', 'IPv6'] as const;
type Family = (typeof FAMILIES)[number];
const AF = { IPv4: AF_INET, IPv6: AF_INET6 } as const;
const IPTABLES = { IPv4: 'iptables', IPv6: 'ip6tables' } as const;
const VIP = { IPv4: '198.51.100.10', IPv6: '2001:db8::10' } as const;
const ENDPOINT = { IPv4: '10.245.0.2', IPv6: 'fd00:245::2' } as const;
const client = new Pod();
const DEVICE_MTU = 1500;

sh(`
  set -e
  ip netns add endpoint
  ip link add endpoint0 type veth peer name eth0 netns endpoint
  ip addr add 10.245.0.1/24 dev endpoint0
  ip addr add fd00:245::1/64 dev endpoint0 nodad
  ip link set endpoint0 up
  ip -n endpoint link set lo up
  ip -n endpoint addr add ${ENDPOINT.IPv4}/24 dev eth0
  ip -n endpoint addr add ${ENDPOINT.IPv6}/64 dev eth0 nodad
  ip -n endpoint link set eth0 up
  ip -n endpoint route add default via 10.245.0.1
  ip -n endpoint route add default via fd00:245::1
  echo 1 > /proc/sys/net/ipv4/ip_forward
  echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
`);
// The kernel tracks and translates only if a rule has a target that translates.
for (const iptables of Object.values(IPTABLES)) {
  sh(`${iptables} -t nat -A PREROUTING -p udp --dport 1 -j REDIRECT --to-ports 2`);
}

const conntrack = ConntrackSocket.open();
t.teardown(() => conntrack.close());

/** Makes the kernel carry a flow of the client to the VIP on to the endpoint. */
function carry(family: Family, protocol: 'TCP' | 'UDP', clientPort: number): void {
  const end = (address: string, port: number) => ({ address: Uint8Array.from(addressBytes(address)), port });
  const source = end(Pod.address[family], clientPort);
  conntrack.create({
    original: { protocol, source, destination: end(VIP[family], VIP_PORT), zone: 0 },
    reply: { protocol, source: end(ENDPOINT[family], PORT), destination: source, zone: 0 },
    status: STATUS.confirmed,
    timeout: 60,
    mark: 0,
    tcpState: protocol === 'TCP' ? TCP_STATE.synSent : null,
  });
}

/** Runs a script in a namespace. It says `ready` first. Resolves to the lines that it prints after that. */
async function run(
  t: Test,
  namespace: string,
  script: string,
  ...args: string[]
): Promise<readonly string[]> {
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  let rest = '';
  child.stdout.on('data', (data) => {
    const parts = (rest + data).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  while (lines[0] !== 'ready') await Promise.race([once(child.stdout, 'data'), failed(child)]);
  lines.shift();
  return lines;
}

async function failed(child: ReturnType<typeof spawn>): Promise<never> {
  await once(child, 'exit');
  throw new Error('a helper has ended');
}

const UDP_ECHO = `
  const [type, port] = process.argv.slice(1);
  const socket = require('node:dgram').createSocket(type);
  socket.on('message', (data, { address, port }) => socket.send(address + ' ' + port + ' ' + data, port, address));
  socket.bind(Number(port), () => console.log('ready'));
`;
const UDP_DIGESTER = `
  const [type, port] = process.argv.slice(1);
  const { createHash } = require('node:crypto');
  const socket = require('node:dgram').createSocket({ type, recvBufferSize: 4 << 20 });
  socket.on('message', (data, { address, port }) => {
    socket.send(data.length + ' ' + createHash('sha1').update(data).digest('hex'), port, address);
  });
  socket.bind(Number(port), () => console.log('ready'));
`;
/** Takes only what comes from the VIP, because it is connected to it. */
const UDP_CLIENT = `
  const [type, port, vip, vipPort] = process.argv.slice(1);
  const socket = require('node:dgram').createSocket(type);
  socket.bind(Number(port), () => socket.connect(Number(vipPort), vip, () => console.log('ready')));
  socket.on('message', (data) => console.log(String(data)));
`;
const TCP_SERVER = `
  const server = require('node:net').createServer((socket) => socket.end(socket.remoteAddress + ' served'));
  server.listen(Number(process.argv[1]), '::', () => console.log('ready'));
`;
const TCP_CLIENT = `
  console.log('ready');
  require('node:net').connect(Number(process.argv[2]), process.argv[1]).on('data', (data) => console.log(String(data)));
`;

function digest(bytes: Uint8Array): string {
  return createHash('sha1').update(bytes).digest('hex');
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(1);
}

function open(t: Test, family: Family): PacketInjector {
  const injector = PacketInjector.open(AF[family]);
  t.teardown(() => injector.close());
  return injector;
}

/**
 * A program at the endpoint, a client that waits for its answers, and the client's entry.
 * @param server of UDP, as a program for Node.js
 */
async function startUdp(t: Test, family: Family, port: number, server: string) {
  const type = family === 'IPv4' ? 'udp4' : 'udp6';
  await run(t, 'endpoint', server, type, String(PORT));
  const to = [VIP[family], String(VIP_PORT)];
  const answers = await run(t, client.namespace, UDP_CLIENT, type, String(port), ...to);
  carry(family, 'UDP', port);
  const from = SocketAddress.of(Pod.address[family], port);
  return { answers, injector: open(t, family), from, vip: SocketAddress.of(VIP[family], VIP_PORT) };
}

function blockWith(text: string): Memory {
  const block = new Memory(text.length + 3);
  block.bytes.set(Buffer.from(text), 3);
  return block;
}

for (const [index, family] of FAMILIES.entries()) {
  t.test(
    `datagrams with the client's address are carried to the endpoint and answered: ${family}`,
    async (t) => {
      const port = 41_000 + index;
      const { answers, injector, from, vip } = await startUdp(t, family, port, UDP_ECHO);
      for (const word of ['one', 'three', '']) {
        injector.pushDatagram(from, vip, blockWith(word), 3, word.length, 64);
      }
      t.equal(injector.count, 3);
      t.equal(injector.send(SocketAddress.of(ENDPOINT[family], PORT)), 3);
      t.equal(injector.count, 0);
      await until(() => answers.length === 3);
      const seen = `${Pod.address[family]} ${port}`;
      t.same(answers, [`${seen} one`, `${seen} three`, `${seen} `]);
    },
  );

  t.test(`a SYN that was queued and dropped is sent again to an endpoint: ${family}`, async (t) => {
    const rule = `-p tcp -m tcp --dport ${VIP_PORT} --tcp-flags FIN,SYN,RST,ACK SYN -j NFQUEUE --queue-num ${QUEUE}`;
    for (const chain of ['PREROUTING', 'OUTPUT']) sh(`${IPTABLES[family]} -t raw -A ${chain} ${rule}`);
    t.teardown(() => sh(`${IPTABLES[family]} -t raw -F`));
    const queue = PacketQueue.open(QUEUE);
    t.teardown(() => queue.close());
    await run(t, 'endpoint', TCP_SERVER, String(PORT));
    const answers = await run(t, client.namespace, TCP_CLIENT, VIP[family], String(VIP_PORT));
    const headers = new PacketHeaders();
    // If the test is slow, the client sends its SYN again. Those that nobody waits for are not let go.
    const receiveFrom = async (sender: 'client' | 'node') => {
      for (;;) {
        const count = queue.receive();
        for (let index = 0; index < count; index++) {
          if ((queue.inputDeviceOf(index) === 0) !== (sender === 'node')) continue;
          t.ok(headers.read(queue.view, queue.startOf(index), queue.lengthOf(index)));
          return index;
        }
        await pause(1);
      }
    };
    const first = await receiveFrom('client');
    carry(family, 'TCP', headers.sourcePort);
    const { sequence } = headers;
    const injector = open(t, family);
    injector.pushPacket(queue.bytes, queue.startOf(first), queue.lengthOf(first));
    queue.drop(first);
    queue.flush();
    t.equal(injector.send(SocketAddress.of(ENDPOINT[family], PORT)), 1);
    const again = await receiveFrom('node');
    t.equal(headers.sequence, sequence);
    queue.accept(again);
    queue.flush();
    await until(() => answers.length === 1);
    t.match(answers[0], new RegExp(`${Pod.address[family]} served$`), 'the endpoint sees the client');
  });

  t.test(`headers, checksum and data of any datagram are right: ${family}`, async (t) => {
    sh(`${IPTABLES[family]} -t raw -A OUTPUT -p udp -j NFQUEUE --queue-num ${QUEUE}`);
    t.teardown(() => sh(`${IPTABLES[family]} -t raw -F`));
    const queue = PacketQueue.open(QUEUE, { copied: DEVICE_MTU });
    t.teardown(() => queue.close());
    const injector = open(t, family);
    const headers = new PacketHeaders();
    const endpoint = SocketAddress.of(ENDPOINT[family], PORT);
    const port = fc.integer({ min: 1, max: 65535 });
    const data = fc.uint8Array({ maxLength: DEVICE_MTU - 48 });
    const hops = fc.integer({ min: 1, max: 255 });
    const property = fc.property(port, port, data, fc.nat(9), hops, (from, to, bytes, start, hops) => {
      const block = new Memory(start + bytes.length);
      block.bytes.set(bytes, start);
      const source = SocketAddress.of(Pod.address[family], from);
      injector.pushDatagram(source, SocketAddress.of(VIP[family], to), block, start, bytes.length, hops);
      t.equal(injector.send(endpoint), 1);
      t.equal(queue.receive(), 1);
      const { view } = queue;
      t.ok(headers.read(view, queue.startOf(0), queue.lengthOf(0)));
      t.match(headers, { sourcePort: from, destinationPort: to, hops, isWhole: true });
      const { sourceAt, destinationAt, addressLength, transportAt, payloadAt, end } = headers;
      t.equal(addressText(queue.bytes.subarray(sourceAt, destinationAt)), Pod.address[family]);
      t.equal(addressText(queue.bytes.subarray(destinationAt, destinationAt + addressLength)), VIP[family]);
      t.same(queue.bytes.slice(payloadAt, end), bytes);
      const size = end - transportAt;
      const pseudoHeader = sumOfBytes(view, sourceAt, 2 * addressLength) + headers.protocol + size;
      t.ok(isSound(pseudoHeader + sumOfBytes(view, transportAt, size)), 'UDP checksum');
      t.not(view.getUint16(transportAt + 6), 0, 'there is a checksum');
      if (family === 'IPv4') t.ok(isSound(sumOfBytes(view, queue.startOf(0), 20)), 'IP checksum');
      queue.drop(0);
      queue.flush();
    });
    fc.assert(property, { numRuns: 200 });
  });

  t.test(`datagrams above the MTU arrive whole and in their order: ${family}`, async (t) => {
    const port = 43_000 + index;
    const [headers, longest] = family === 'IPv4' ? [28, 65_507] : [48, 65_527];
    const lengths = [3, DEVICE_MTU - headers, DEVICE_MTU - headers + 1, 2456, 2457, 14_720, 5, longest, 0];
    const { answers, injector, from, vip } = await startUdp(t, family, port, UDP_DIGESTER);
    const block = new Memory(66_000);
    for (let byte = 0; byte < block.bytes.length; byte++) block.bytes[byte] = (byte * byte) >> 3;
    for (const [start, length] of lengths.entries()) {
      injector.pushDatagram(from, vip, block, start, length, 64);
    }
    t.equal(injector.send(SocketAddress.of(ENDPOINT[family], PORT)), lengths.length);
    await until(() => answers.length === lengths.length);
    t.same(
      answers,
      lengths.map((length, start) => `${length} ${digest(block.bytes.subarray(start, start + length))}`),
    );
  });

  t.test(`a datagram that a rule drops is told; those before it are sent: ${family}`, async (t) => {
    const rule = 'OUTPUT -p udp --dport 81 -j DROP';
    sh(`${IPTABLES[family]} -A ${rule}`);
    t.teardown(() => sh(`${IPTABLES[family]} -D ${rule}`));
    const injector = open(t, family);
    const from = SocketAddress.of(Pod.address[family], 42_000);
    for (const port of [80, 80, 81, 80]) {
      injector.pushDatagram(from, SocketAddress.of(VIP[family], port), new Memory(8), 0, 8, 64);
    }
    const sent = injector.send(SocketAddress.of(ENDPOINT[family], PORT));
    const code = errno();
    t.equal(sent, 2);
    t.equal(code, EPERM);
    t.equal(injector.count, 0);
  });

  t.test(`a batch has room for 64 packets: ${family}`, async (t) => {
    const injector = open(t, family);
    const from = SocketAddress.of(Pod.address[family], 42_000);
    const vip = SocketAddress.of(VIP[family], VIP_PORT);
    while (!injector.isFull) injector.pushDatagram(from, vip, new Memory(8), 0, 8, 64);
    t.equal(injector.count, 64);
    t.equal(injector.send(SocketAddress.of(ENDPOINT[family], PORT)), 64);
    t.throws(() => injector.pushPacket(new Uint8Array(200), 0, 129), RangeError);
  });
}

t.test('where the MTU is smaller than a fragment, a datagram above it is refused', async (t) => {
  sh('ip link set endpoint0 mtu 600');
  t.teardown(() => sh(`ip link set endpoint0 mtu ${DEVICE_MTU}`));
  const injector = open(t, 'IPv4');
  const from = SocketAddress.of(Pod.address.IPv4, 42_000);
  const vip = SocketAddress.of(VIP.IPv4, VIP_PORT);
  for (const length of [572, 573]) injector.pushDatagram(from, vip, new Memory(8192), 0, length, 64);
  const sent = injector.send(SocketAddress.of(ENDPOINT.IPv4, PORT));
  const code = errno();
  t.equal(sent, 1);
  t.equal(code, EMSGSIZE);
});
