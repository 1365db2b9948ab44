import { spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { addressText } from '../../../lib/net/address.js';
import { checksumOf, sumOfBytes } from '../../../lib/net/checksum.js';
import { IP_PROTOCOL, PacketHeaders, TCP_FLAG } from '../../../lib/net/packet.js';
import { DatagramRing } from '../../../lib/sys/datagrams.js';
import { DatagramSender } from '../../../lib/sys/datagramsender.js';
import { checked, EAGAIN, EBUSY, EPERM, errno, SysError } from '../../../lib/sys/errno.js';
import { listenDatagram } from '../../../lib/sys/listening.js';
import { Memory } from '../../../lib/sys/memory.js';
import { PacketQueue } from '../../../lib/sys/netlink/packetqueue.js';
import { SocketAddress } from '../../../lib/sys/sockaddr.js';
import { closeSocket, connect, openDatagram } from '../../../lib/sys/socket.js';
import { Pod, sh } from '../../redirect/namespace.js';

t.setTimeout(0);

const QUEUE = 20480;
const PORT = 8080;
const IPTABLES = { IPv4: 'iptables', IPv6: 'ip6tables' } as const;
const FAMILIES = ['IPv4', 'IPv6'] as const;
const pod = new Pod();
const podDevice = Number.parseInt(sh('ip -o link show pod0'), 10);

const server = createServer((socket) => socket.end()).listen(PORT, '::');
await once(server, 'listening');
t.teardown(() => server.close());

/** Queues what matches, until the test ends. */
function queueWhat(t: Test, family: (typeof FAMILIES)[number], chain: string, match: string): void {
  const rule = `${chain} -p ${match} -j NFQUEUE --queue-num ${QUEUE}`;
  sh(`${IPTABLES[family]} -w -t raw -A ${rule}`);
  t.teardown(() => sh(`${IPTABLES[family]} -w -t raw -D ${rule}`));
}

const SYN = `tcp -m tcp --dport ${PORT} --tcp-flags FIN,SYN,RST,ACK SYN`;

function open(t: Test, options = {}): PacketQueue {
  const queue = PacketQueue.open(QUEUE, options);
  t.teardown(() => queue.close());
  return queue;
}

const CLIENT = `
  const socket = require('node:net').connect(Number(process.argv[2]), process.argv[1]);
  const tell = (word) => { console.log(word); process.exit(); };
  socket.on('connect', () => tell('connected')).on('error', ({ code }) => tell(code));
`;

/** Connects from the node or the pod. Resolves to `connected` or the error's name. */
async function connectFrom(place: 'node' | 'pod', address: string): Promise<string> {
  const program = [process.execPath, '-e', CLIENT, address, String(PORT)];
  const [command = '', ...args] =
    place === 'node' ? program : ['ip', 'netns', 'exec', pod.namespace, ...program];
  const client = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => client.kill('SIGKILL'));
  const [output] = await once(client.stdout, 'data');
  return String(output).trim();
}

/** Waits for packets. Resolves to how many came with one receive. */
async function receiveSome(queue: PacketQueue): Promise<number> {
  for (;;) {
    const count = queue.receive();
    if (count > 0) return count;
    if (count < 0 && errno() !== EAGAIN) throw new SysError('receive', errno());
    await pause(1);
  }
}

/** Waits for a packet, which must be readable. If the test is slow, repetitions may come with it. */
async function receiveOne(queue: PacketQueue): Promise<PacketHeaders> {
  await receiveSome(queue);
  const headers = new PacketHeaders();
  if (!headers.read(queue.view, queue.startOf(0), queue.lengthOf(0))) throw new Error('an unreadable packet');
  return headers;
}

for (const family of FAMILIES) {
  t.test(`a SYN from a pod waits in PREROUTING until it is accepted: ${family}`, async (t) => {
    queueWhat(t, family, 'PREROUTING', SYN);
    const queue = open(t);
    const outcome = connectFrom('pod', Pod.router[family]);
    const headers = await receiveOne(queue);
    t.match(headers, {
      isV6: family === 'IPv6',
      protocol: IP_PROTOCOL.tcp,
      destinationPort: PORT,
      tcpFlags: TCP_FLAG.syn,
      isWhole: true,
    });
    const { sourceAt, addressLength } = headers;
    t.equal(addressText(queue.bytes.subarray(sourceAt, sourceAt + addressLength)), Pod.address[family]);
    t.equal(queue.inputDeviceOf(0), podDevice);
    queue.accept(0);
    t.equal(queue.flush(), 0);
    t.equal(await outcome, 'connected');
    t.equal(queue.overflows, 0);
  });

  t.test(`a SYN of the node waits in OUTPUT; dropped, it comes again: ${family}`, async (t) => {
    queueWhat(t, family, 'OUTPUT', SYN);
    const queue = open(t);
    const outcome = connectFrom('node', Pod.router[family]);
    const { sequence } = await receiveOne(queue);
    t.equal(queue.inputDeviceOf(0), 0);
    queue.drop(0);
    t.equal(queue.flush(), 0);
    t.match(await receiveOne(queue), { sequence }, 'the same SYN');
    queue.accept(0);
    t.equal(queue.flush(), 0);
    t.equal(await outcome, 'connected');
  });
}

t.test('where nobody has the queue, a SYN is lost, and its repetition finds who has it then', async (t) => {
  queueWhat(t, 'IPv4', 'PREROUTING', SYN);
  const outcome = connectFrom('pod', Pod.router.IPv4);
  while (/^0 /m.test(sh('iptables -t raw -nvxL PREROUTING | grep NFQUEUE').trimStart())) await pause(1);
  const queue = open(t);
  await receiveOne(queue);
  queue.accept(0);
  queue.flush();
  t.equal(await outcome, 'connected');
});

/** The numbers in the datagrams that arrive. Grows until the test ends. */
async function listenForNumbers(t: Test): Promise<readonly number[]> {
  const arrived: number[] = [];
  const receiver = createSocket('udp4').on('message', (data) => arrived.push(data.readUInt32BE()));
  receiver.bind(PORT, '127.0.0.1');
  await once(receiver, 'listening');
  receiver.setRecvBufferSize(4 << 20);
  t.teardown(() => receiver.close());
  return arrived;
}

/** Sends datagrams with the numbers from 0 on from this node to itself, over the loopback device. */
async function sendNumbers(count: number): Promise<void> {
  const sender = createSocket('udp4');
  for (let number = 0; number < count; number++) {
    const data = Buffer.alloc(4);
    data.writeUInt32BE(number);
    await new Promise((resolve) => sender.send(data, PORT, '127.0.0.1', resolve));
  }
  sender.close();
}

/** Waits until so many packets wait in the queue. */
async function untilWaiting(count: number): Promise<void> {
  const row = new RegExp(`^ *${QUEUE} +\\d+ +${count} `, 'm');
  while (!row.test(readFileSync('/proc/net/netfilter/nfnetlink_queue', 'latin1'))) await pause(1);
}

/** Receives all that waits. Returns the numbers in the datagrams that were received. */
function receiveNumbers(queue: PacketQueue, decide: (index: number, number: number) => void): number[] {
  const numbers: number[] = [];
  const headers = new PacketHeaders();
  for (;;) {
    const count = queue.receive();
    if (count < 0) return numbers;
    for (let index = 0; index < count; index++) {
      if (!headers.read(queue.view, queue.startOf(index), queue.lengthOf(index)))
        throw new Error('unreadable');
      const number = queue.view.getUint32(headers.payloadAt);
      numbers.push(number);
      decide(index, number);
    }
    if (queue.flush() !== 0) throw new SysError('flush', errno());
  }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(1);
}

const DATAGRAM = `udp --dport ${PORT}`;
const range = (count: number) => Array.from({ length: count }, (_, index) => index);

t.test('packets come in batches, in their order, and each has its own verdict', async (t) => {
  queueWhat(t, 'IPv4', 'PREROUTING', DATAGRAM);
  const queue = open(t);
  const arrived = await listenForNumbers(t);
  await sendNumbers(200);
  await untilWaiting(200);
  const indices: number[] = [];
  const numbers = receiveNumbers(queue, (index, number) => {
    indices.push(index);
    if (number % 2 === 1) queue.drop(index);
    else queue.accept(index);
  });
  t.same(numbers, range(200));
  t.same(indices, [...range(64), ...range(64), ...range(64), ...range(8)]);
  await until(() => arrived.length === 100);
  t.same(
    arrived,
    range(100).map((number) => 2 * number),
  );
});

t.test('after a receive it is known whether more packets wait', async (t) => {
  queueWhat(t, 'IPv4', 'PREROUTING', DATAGRAM);
  const queue = open(t);
  t.equal(queue.hasMore, false);
  await sendNumbers(128);
  await untilWaiting(128);
  t.equal(queue.hasMore, true);
  t.equal(queue.receive(), 64);
  t.equal(queue.hasMore, true);
  t.equal(queue.receive(), 64, 'none was taken by the question');
  t.equal(queue.hasMore, false, 'packets without a verdict do not wait to be received');
});

t.test('what the queue has no room for passes, and is counted', async (t) => {
  queueWhat(t, 'IPv4', 'PREROUTING', DATAGRAM);
  const queue = open(t, { capacity: 100 });
  const arrived = await listenForNumbers(t);
  await sendNumbers(1000);
  await until(() => arrived.at(-1) === 999);
  const passed = arrived.length;
  t.equal(queue.overflows, passed);
  const waited = receiveNumbers(queue, (index) => queue.accept(index));
  t.ok(waited.length >= 50 && waited.length <= 200, `${waited.length} waited`);
  t.same(waited, range(waited.length), 'the first ones waited');
  await until(() => arrived.length === 1000);
  t.equal(waited.length + passed, 1000);
  t.same(
    arrived.toSorted((a, b) => a - b),
    range(1000),
  );
});

t.test('after an overflow, packets wait again as soon as some were received', async (t) => {
  queueWhat(t, 'IPv4', 'PREROUTING', DATAGRAM);
  const queue = open(t, { capacity: 200 });
  const arrived = await listenForNumbers(t);
  await sendNumbers(1000);
  await until(() => arrived.at(-1) === 999);
  const { overflows } = queue;
  t.equal(queue.receive(), 64);
  for (const index of range(64)) queue.drop(index);
  queue.flush();
  await sendNumbers(1);
  await untilWaiting(1000 - overflows - 64 + 1);
  t.equal(queue.overflows, overflows);
});

t.test('as many bytes of a packet are received as were asked for', async (t) => {
  queueWhat(t, 'IPv4', 'PREROUTING', DATAGRAM);
  for (const [copied, expected] of [
    [30, 30],
    [1500, 32],
  ] as const) {
    const queue = PacketQueue.open(QUEUE, { copied });
    await sendNumbers(1);
    t.equal(await receiveSome(queue), 1);
    t.equal(queue.lengthOf(0), expected);
    queue.close();
  }
});

t.test('a verdict about a packet that has one already does no harm', async (t) => {
  queueWhat(t, 'IPv4', 'PREROUTING', DATAGRAM);
  const queue = open(t);
  const arrived = await listenForNumbers(t);
  await sendNumbers(2);
  await untilWaiting(2);
  t.equal(queue.receive(), 2);
  for (const index of [0, 0, 0, 1]) queue.accept(index);
  t.equal(queue.flush(), 0);
  await until(() => arrived.length === 2);
  t.equal(queue.receive(), 0, 'the refusals');
  const count = queue.receive();
  const code = errno();
  t.equal(count, -1);
  t.equal(code, EAGAIN);
});

/** Sends a run of datagrams with the numbers from 0 on, each of four bytes, from this node to itself. */
function sendRun(count: number): void {
  const payload = new Memory(4 * count);
  const sender = new DatagramSender(count);
  const to = SocketAddress.of('127.0.0.1', PORT);
  const fd = checked('socket', openDatagram(to.family));
  checked('connect', connect(fd, to));
  for (let number = 0; number < count; number++) {
    payload.view.setUint32(4 * number, number);
    sender.push(payload, 4 * number, 4);
  }
  t.equal(sender.sendConnected(fd), count);
  t.equal(sender.segments, 'sent');
  closeSocket(fd);
}

t.test('a run of datagrams waits as one packet if packets are unfinished, and is let go whole', async (t) => {
  queueWhat(t, 'IPv4', 'OUTPUT', DATAGRAM);
  const queue = open(t, { areUnfinished: true });
  const arrived = await listenForNumbers(t);
  sendRun(5);
  await sendNumbers(1);
  await untilWaiting(2);
  t.equal(queue.receive(), 2);
  t.same([queue.isRun(0), queue.isRun(1)], [true, false]);
  t.same([queue.hasChecksum(0), queue.hasChecksum(1)], [false, false]);
  for (const index of [0, 1]) queue.accept(index);
  t.equal(queue.flush(), 0);
  await until(() => arrived.length === 6);
  t.same(arrived, [...range(5), 0]);
});

/** Changes the last byte of a datagram, and makes its checksum. */
function changeLastByte(queue: PacketQueue, index: number, byte: number): void {
  const headers = new PacketHeaders();
  t.ok(headers.read(queue.view, queue.startOf(index), queue.lengthOf(index)));
  t.ok(headers.isWhole);
  queue.view.setUint8(headers.end - 1, byte);
  const { sourceAt, transportAt, end } = headers;
  queue.view.setUint16(transportAt + 6, 0);
  const sum = sumOfBytes(queue.view, sourceAt, 8) + sumOfBytes(queue.view, transportAt, end - transportAt);
  queue.view.setUint16(transportAt + 6, checksumOf(sum + IP_PROTOCOL.udp + end - transportAt));
}

t.test('packets go on as they were changed, beside others that were not', async (t) => {
  queueWhat(t, 'IPv4', 'OUTPUT', DATAGRAM);
  const queue = open(t, { copied: 100 });
  const arrived = await listenForNumbers(t);
  await sendNumbers(6);
  await untilWaiting(6);
  t.equal(queue.receive(), 6);
  for (const index of range(6)) {
    if (index % 3 === 0) queue.drop(index);
    else if (index % 3 === 1) queue.accept(index);
    else {
      changeLastByte(queue, index, 100 + index);
      queue.acceptChanged(index);
    }
  }
  t.equal(queue.flush(), 0);
  await until(() => arrived.length === 4);
  t.same(arrived, [1, 102, 4, 105]);
});

t.test('the longest packets of a batch go on changed', async (t) => {
  queueWhat(t, 'IPv4', 'OUTPUT', DATAGRAM);
  const queue = open(t, { copied: 65_531, capacity: 4096, areUnfinished: true });
  // With its headers, a datagram is as long as what the queue receives.
  const data = Buffer.alloc(65_531 - 28, 7);
  const count = 20;
  const place = { address: '127.0.0.1', port: PORT, sharing: 'nobody', freeBind: false } as const;
  const receiver = listenDatagram(place, 2 * count * data.length);
  // A packet that waits takes room in the send buffer of its socket.
  const senders = range(count).map(() => createSocket('udp4'));
  t.teardown(() => {
    closeSocket(receiver);
    for (const sender of senders) sender.close();
  });
  for (const sender of senders) {
    await new Promise((resolve) => sender.send(data, PORT, '127.0.0.1', resolve));
  }
  await untilWaiting(count);
  t.equal(queue.receive(), count);
  for (const index of range(count)) {
    changeLastByte(queue, index, index);
    queue.acceptChanged(index);
  }
  t.equal(queue.flush(), 0);
  const ring = new DatagramRing(count, false);
  for (const number of range(count)) {
    await until(() => ring.receive(receiver, 1) === 1);
    t.equal(ring.payload(number).length, data.length);
    t.equal(ring.payload(number).at(-1), number);
  }
});

t.test('a queue has one owner; when it is given up, the next one gets it at once', async (t) => {
  const first = PacketQueue.open(QUEUE);
  t.throws(() => PacketQueue.open(QUEUE), {
    code: EBUSY,
    message: /^packet queue 20480, which another program has \(netlink port \d+\): EBUSY$/,
  });
  const other = PacketQueue.open(QUEUE + 1);
  first.close();
  PacketQueue.open(QUEUE).close();
  other.close();
});

t.test('packets that wait are dropped when the queue is given up', async (t) => {
  queueWhat(t, 'IPv4', 'PREROUTING', DATAGRAM);
  const first = PacketQueue.open(QUEUE);
  const arrived = await listenForNumbers(t);
  await sendNumbers(3);
  await untilWaiting(3);
  first.close();
  const second = open(t);
  await sendNumbers(1);
  await untilWaiting(1);
  t.equal(second.receive(), 1);
  second.accept(0);
  second.flush();
  await until(() => arrived.length > 0);
  t.same(arrived, [0]);
});

t.test('without CAP_NET_ADMIN there is no queue', async (t) => {
  const module = new URL('../../../lib/sys/netlink/packetqueue.js', import.meta.url);
  const script = `import('${module}').then(({ PacketQueue }) => PacketQueue.open(${QUEUE}))
    .catch(({ message, code }) => console.log(message, code))`;
  const options = ['--bounding-set=-net_admin', '--inh-caps=-net_admin', process.execPath, '-e', script];
  const { stdout } = spawnSync('setpriv', options, { encoding: 'utf8' });
  t.equal(stdout.trim(), `packet queue ${QUEUE}: EPERM ${EPERM}`);
});
