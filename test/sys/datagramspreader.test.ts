import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { AF_INET } from '../../lib/sys/constants.js';
import { DatagramSpreader } from '../../lib/sys/datagramspreader.js';
import { ECONNREFUSED, EMSGSIZE } from '../../lib/sys/errno.js';
import { ErrorQueue, keepErrors } from '../../lib/sys/errorqueue.js';
import { Memory } from '../../lib/sys/memory.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { closeSocket, openDatagram } from '../../lib/sys/socket.js';
import { item } from '../lab/items.js';

/** More than a UDP datagram can have. */
const TOO_LONG = 70_000;

class Peer {
  readonly heard: string[] = [];

  private constructor(
    readonly socket: Socket,
    readonly address: SocketAddress,
  ) {
    socket.on('message', (message) => this.heard.push(message.toString()));
  }

  static async open(t: Test): Promise<Peer> {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    t.teardown(() => socket.close());
    return new Peer(socket, SocketAddress.of('127.0.0.1', socket.address().port));
  }

  async hears(count: number): Promise<string[]> {
    while (this.heard.length < count) await sleep(1);
    return this.heard;
  }
}

/** An address at which nobody is. */
async function closedPort(): Promise<SocketAddress> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return SocketAddress.of('127.0.0.1', port);
}

function openSocket(t: Test): number {
  const fd = openDatagram(AF_INET);
  keepErrors(fd, AF_INET);
  t.teardown(() => closeSocket(fd));
  return fd;
}

/** Words one after another, each at its own place. */
function payloadOf(...words: readonly string[]): { block: Memory; places: [number, number][] } {
  const block = new Memory(TOO_LONG);
  let at = 0;
  const places = words.map((word): [number, number] => {
    block.bytes.set(Buffer.from(word), at);
    at += word.length;
    return [at - word.length, word.length];
  });
  return { block, places };
}

const FAILS = (index: number, code: number) => {
  throw new Error(`datagram ${index} failed with ${code}`);
};

t.test('each peer gets its datagrams in order, from one copy of each', async (t) => {
  const peers = await Promise.all([Peer.open(t), Peer.open(t), Peer.open(t)]);
  const { block, places } = payloadOf('one', 'second');
  const spreader = new DatagramSpreader(8);
  for (const [at, length] of places) {
    for (const { address } of peers) spreader.push(block, at, length, address);
  }
  spreader.send(openSocket(t), FAILS);
  t.equal(spreader.count, 0, 'nothing is left');
  for (const peer of peers) t.same(await peer.hears(2), ['one', 'second']);
});

t.test('what cannot be sent to one peer does not keep the others from theirs', async (t) => {
  const peers = await Promise.all([Peer.open(t), Peer.open(t)]);
  const { block, places } = payloadOf('short');
  const [place] = places as [[number, number]];
  const spreader = new DatagramSpreader(8);
  const failed: [number, number][] = [];
  spreader.push(block, ...place, item(peers, 0).address);
  spreader.push(block, 0, TOO_LONG, item(peers, 0).address);
  spreader.push(block, ...place, item(peers, 1).address);
  spreader.send(openSocket(t), (...failure) => failed.push(failure));
  t.same(failed, [[1, EMSGSIZE]]);
  for (const peer of peers) t.same(await peer.hears(1), ['short']);
});

t.test('a refusal is told with the address that the datagram was for, and costs no datagram', async (t) => {
  const peer = await Peer.open(t);
  const closed = await closedPort();
  const { block, places } = payloadOf('word');
  const [place] = places as [[number, number]];
  const spreader = new DatagramSpreader(8);
  const fd = openSocket(t);
  for (let round = 0; round < 3; round++) {
    spreader.push(block, ...place, closed);
    spreader.push(block, ...place, peer.address);
    spreader.send(fd, FAILS);
  }
  t.same(await peer.hears(3), ['word', 'word', 'word']);
  const errors = new ErrorQueue();
  while (!errors.read(fd)) await sleep(1);
  t.equal(errors.code, ECONNREFUSED);
  t.same(errors.destination.bytes.subarray(0, 8), closed.memory.bytes.subarray(0, 8));
});
