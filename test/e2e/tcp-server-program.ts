/**
 * TCP servers that do what a good backend never does. The argument is the port of each mode as JSON. For each
 * connection that ended, the program prints a line of JSON (TcpWitness).
 */

import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { item } from '../lab/items.js';
import { Digest } from '../lab/pattern.js';
import { answerTalk } from './talk.js';
import { EARLY_ANSWER, type ServerMode, type TcpWitness } from './tcp-peers.js';

const serve: Record<ServerMode, (socket: Socket) => void | Promise<void>> = {
  listen(socket) {
    socket.resume();
  },
  deaf(socket) {
    socket.pause();
  },
  async greet(socket) {
    socket.end('hello');
    for await (const _ of socket.iterator({ destroyOnReturn: false }));
  },
  early(socket) {
    socket.once('data', async () => {
      socket.pause();
      socket.write(EARLY_ANSWER.slice(0, 10));
      // Time for the client to send on: what comes after the close is answered with a reset.
      await sleep(1000);
      socket.write(EARLY_ANSWER.slice(10), () => socket.destroy());
    });
  },
  async pour(socket) {
    const block = Buffer.alloc(1 << 16);
    while (!socket.destroyed) if (!socket.write(block)) await once(socket, 'drain');
  },
  resetLater(socket) {
    socket.resume();
    socket.once('data', async () => {
      await sleep(50);
      socket.resetAndDestroy();
    });
  },
  talk: answerTalk,
};

async function listen(mode: ServerMode, port: number): Promise<void> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const digest = new Digest();
    let outcome = 'open';
    if (mode !== 'talk' && mode !== 'deaf') socket.on('data', (data: Buffer) => digest.add(data));
    socket.on('end', () => {
      outcome = 'end';
      if (mode !== 'talk') socket.end();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      outcome = error.code ?? error.message;
    });
    socket.on('close', () => {
      const witness: TcpWitness = { mode, outcome, bytes: digest.bytes, sha256: digest.hex };
      process.stdout.write(`${JSON.stringify(witness)}\n`);
    });
    Promise.resolve(serve[mode](socket)).catch(() => socket.destroy());
  });
  server.listen({ port, host: '::', backlog: 4096 });
  await once(server, 'listening');
}

for (const [mode, port] of Object.entries(JSON.parse(item(process.argv, 2)) as Record<ServerMode, number>))
  await listen(mode as ServerMode, port);
process.stdout.write('ready\n');
