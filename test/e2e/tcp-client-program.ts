/** The program behind `callTcp`. Its argument is a ClientRequest as JSON, its output the replies. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { item } from '../lab/items.js';
import { patternAt } from '../lab/pattern.js';
import { holdTalk, type Talk } from './talk.js';
import type { ClientMode, ClientReply, ClientRequest } from './tcp-peers.js';

const MEGABYTE = 1 << 20;

const act: Record<Exclude<ClientMode, 'talk'>, (socket: Socket) => Promise<void>> = {
  async abort(socket) {
    socket.resetAndDestroy();
  },
  async abortAfterWord(socket) {
    socket.write('word');
    await sleep(200);
    socket.resetAndDestroy();
  },
  async abortHalfClosed(socket) {
    socket.end('word');
    await sleep(200);
    socket.resetAndDestroy();
  },
  async abortWhenStuck(socket) {
    while (socket.write(patternAt(0, MEGABYTE)) || (await drains(socket)));
    socket.resetAndDestroy();
  },
  async abortReading(socket) {
    let bytes = 0;
    for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MEGABYTE) break;
    }
    socket.resetAndDestroy();
  },
  async answerAfterEnd(socket) {
    await once(socket, 'end');
    socket.end(patternAt(0, MEGABYTE));
    await once(socket, 'close');
  },
  async pour(socket) {
    while (!socket.destroyed) {
      socket.write(patternAt(0, MEGABYTE));
      await sleep(5);
    }
  },
  async say(socket) {
    const closed = new Promise((resolve) => socket.once('end', resolve).once('close', resolve));
    socket.write('word');
    await once(socket, 'data');
    socket.write(patternAt(0, 150_000));
    await closed;
  },
};

/** Whether the other side takes something within half a second. */
async function drains(socket: Socket): Promise<boolean> {
  try {
    await once(socket, 'drain', { signal: AbortSignal.timeout(500) });
    return true;
  } catch {
    return false;
  }
}

async function call({ mode, address, port }: ClientRequest, talk: Talk | undefined): Promise<ClientReply> {
  const socket = connect({ host: address, port, noDelay: true, allowHalfOpen: true });
  await once(socket, 'connect');
  if (mode === 'talk') {
    const problem = await holdTalk(socket, talk as Talk).catch((error: Error) => String(error));
    return { outcome: problem ?? 'intact', text: '' };
  }
  let text = '';
  let outcome = 'aborted';
  if (mode !== 'abortReading')
    socket.on('data', (data) => {
      text += data;
    });
  socket.on('end', () => {
    outcome = 'end';
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    outcome = error.code ?? error.message;
  });
  await act[mode](socket);
  return { outcome, text };
}

const request = JSON.parse(item(process.argv, 2)) as ClientRequest;
const { connections = 1, talks = [] } = request;
const calls = Array.from({ length: connections }, (_, i) => call(request, talks[i % talks.length]));
process.stdout.write(JSON.stringify(await Promise.all(calls)));
