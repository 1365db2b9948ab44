/**
 * The program of `startBackend`: TCP and UDP servers that say their name. Argument: BackendOptions as JSON.
 */

import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BackendOptions, SinkAnswer, TcpMode, UdpMode } from './backend.js';
import { item } from './items.js';
import { chunks, Digest } from './pattern.js';

const options = JSON.parse(item(process.argv, 2)) as BackendOptions;
const name = options.name ?? 'backend';
const MEGABYTE = 1 << 20;
const LATE_MS = 2000;

const serve: Record<TcpMode, (socket: Socket) => void | Promise<void>> = {
  http(socket) {
    socket.once('data', () => {
      const body = `${name}\n`;
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
    });
  },
  name(socket) {
    socket.on('data', (data) => socket.write(`${name}:${data}`));
    socket.on('end', () => socket.end());
  },
  client(socket) {
    // As a socket of both families names an address of IPv4.
    const client = socket.remoteAddress?.replace(/^::ffff:/, '');
    socket.on('data', () => socket.write(`${name}:${client}`));
    socket.on('end', () => socket.end());
  },
  echo(socket) {
    socket.pipe(socket);
  },
  'half-close'(socket) {
    let bytes = 0;
    socket.on('data', (data) => {
      bytes += data.length;
    });
    socket.on('end', () => socket.end(`${name}:${bytes}`));
  },
  reset(socket) {
    socket.once('data', () => socket.resetAndDestroy());
  },
  async sink(socket) {
    const digest = new Digest();
    let rested = 0;
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      digest.add(chunk as Buffer);
      if (options.sinkRestMs === undefined || digest.bytes - rested < MEGABYTE) continue;
      rested = digest.bytes;
      await sleep(options.sinkRestMs);
    }
    const answer: SinkAnswer = { name, bytes: digest.bytes, sha256: digest.hex };
    socket.end(JSON.stringify(answer));
  },
  async source(socket) {
    const [line] = (await once(socket, 'data')) as [Buffer];
    for (const chunk of chunks(Number(line))) {
      if (!socket.write(chunk)) await once(socket, 'drain');
    }
    socket.end();
  },
};

async function listenTcp(port: number, mode: TcpMode): Promise<void> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    Promise.resolve(serve[mode](socket)).catch(() => socket.destroy());
  });
  server.listen({ port, host: '::', backlog: 65535 });
  await once(server, 'listening');
}

function answerTo(mode: UdpMode, message: Buffer, from: RemoteInfo): Buffer {
  if (mode === 'echo') return message;
  return Buffer.concat([Buffer.from(`${name}:`), mode === 'client' ? Buffer.from(from.address) : message]);
}

async function listenUdp(port: number, mode: UdpMode): Promise<void> {
  for (const type of ['udp4', 'udp6'] as const) {
    const socket = createSocket({ type, ipv6Only: type === 'udp6', recvBufferSize: 4 * MEGABYTE });
    socket.on('message', async (message: Buffer, from: RemoteInfo) => {
      if (mode === 'silent') return;
      if (mode === 'late') await sleep(LATE_MS);
      const answer = answerTo(mode, message, from);
      socket.send(answer, from.port, from.address, () => {});
    });
    socket.bind(port);
    await once(socket, 'listening');
  }
}

for (const [port, mode] of Object.entries(options.tcp ?? {})) await listenTcp(Number(port), mode);
for (const [port, mode] of Object.entries(options.udp ?? {})) await listenUdp(Number(port), mode);
process.stdout.write('ready\n');
