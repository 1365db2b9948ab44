import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { text } from '../../lib/server/answer.js';
import { Connections } from '../../lib/server/connections.js';
import { HttpServer } from '../../lib/server/http.js';
import { BadQuery } from '../../lib/server/query.js';
import type { RouteRequest, Routes } from '../../lib/server/route.js';
import { sendStream } from '../../lib/server/sending.js';
import { EndlessAnswer } from './fixtures.js';

/** Milliseconds. Longer than any test takes. */
const NEVER = 3_600_000;

async function serve(t: Test, routes: Routes): Promise<HttpServer> {
  const connections = new Connections({ maxOpen: 100, idleMs: NEVER });
  const server = await HttpServer.listen({ host: '127.0.0.1', port: 0, flag: '--x', routes, connections });
  t.teardown(() => server.close());
  return server;
}

const ask = (server: { readonly port: number }, path: string, init?: RequestInit) =>
  fetch(`http://127.0.0.1:${server.port}${path}`, init);

/** A client that asks and does not read. */
async function askOnly(server: { readonly port: number }, path: string): Promise<Socket> {
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  return socket;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(1);
}

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));

t.test('a route gets the method, the path and the query', async (t) => {
  const asked: RouteRequest[] = [];
  const server = await serve(t, {
    '/a': (request) => {
      asked.push(request);
      return text('hello');
    },
  });
  await (await ask(server, '/a?name=x%20y&name=z?')).text();
  await ask(server, '/a', { method: 'HEAD' });
  t.match(asked, [
    { method: 'GET', path: '/a' },
    { method: 'HEAD', path: '/a' },
  ]);
  t.same(asked[0]?.query.getAll('name'), ['x y', 'z?']);
  t.same([...asked[1]!.query], []);
});

t.test('a wrong query gives 400', async (t) => {
  const server = await serve(t, {
    '/a': () => {
      throw new BadQuery('count: "x" is not a digit');
    },
  });
  const response = await ask(server, '/a?count=x');
  t.equal(response.status, 400);
  t.equal(await response.text(), 'count: "x" is not a digit\n');
});

t.test('each piece of a stream is sent at once', async (t) => {
  let goOn = () => {};
  async function* pieces() {
    yield 'first';
    await new Promise<void>((resolve) => {
      goOn = resolve;
    });
    yield 'second';
  }
  const server = await serve(t, { '/stream': () => text(pieces()) });
  const reader = (await ask(server, '/stream')).body!.getReader();
  const read = async () => Buffer.from((await reader.read()).value ?? '').toString();
  t.equal(await read(), 'first');
  goOn();
  t.equal(await read(), 'second');
  t.equal((await reader.read()).done, true);
});

t.test('pieces of a stream wait for their client, and other clients are answered meanwhile', async (t) => {
  const endless = new EndlessAnswer();
  const server = await serve(t, { '/endless': () => text(endless.stream()), '/short': () => text('hello') });
  const clients: Socket[] = [];
  // More streams than long answers may be under way at the same time.
  for (let count = 0; count < 6; count++) clients.push(await askOnly(server, '/endless'));
  await until(() => endless.made > 0);
  t.equal(await (await ask(server, '/short')).text(), 'hello');
  await endless.untilNothingIsTaken();
  t.notOk(endless.hasEnded, `after ${endless.made} pieces it waits`);
  for (const client of clients) client.destroy();
  await until(() => endless.hasEnded);
});

t.test('a route that waits is told that its client has gone', async (t) => {
  const waiting: string[] = [];
  const told: string[] = [];
  async function* stream({ signal }: RouteRequest) {
    yield 'first';
    waiting.push('stream');
    await aborted(signal);
    told.push('stream');
  }
  const server = await serve(t, {
    '/stream': (request) => text(stream(request)),
    '/answer': async ({ signal }) => {
      waiting.push('answer');
      await aborted(signal);
      told.push('answer');
      return text('too late');
    },
  });
  const clients = [await askOnly(server, '/stream'), await askOnly(server, '/answer')];
  await until(() => waiting.length === 2);
  t.same(told, []);
  for (const client of clients) client.destroy();
  await until(() => told.length === 2);
});

t.test(
  'a client that does not read loses its connection, and a client that waits for its stream does not',
  async (t) => {
    const patienceMs = 100;
    let ended = false;
    let isQuiet = true;
    async function* endless() {
      try {
        for (;;) yield 'x'.repeat(1000);
      } finally {
        ended = true;
      }
    }
    async function* quiet() {
      yield 'first';
      while (isQuiet) await sleep(1);
      yield 'second';
    }
    // The limits for requests are not used here: a slow machine could exceed them.
    const server = createServer(({ url }, response) => {
      const gone = new AbortController();
      response.once('close', () => gone.abort());
      void sendStream(response, url === '/quiet' ? quiet() : endless(), gone.signal, patienceMs);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => server.close());
    const at = { port: (server.address() as AddressInfo).port };
    const patient = await ask(at, '/quiet');
    const slow = await askOnly(at, '/endless');
    await until(() => ended);
    slow.resume();
    await until(() => slow.closed);
    await sleep(2 * patienceMs);
    isQuiet = false;
    t.equal(await patient.text(), 'firstsecond');
  },
);

t.test('a client sees that a stream has failed', async (t) => {
  async function* broken() {
    yield 'first';
    throw new Error('no such luck');
  }
  const server = await serve(t, { '/broken': () => text(broken()) });
  await t.rejects(ask(server, '/broken').then((response) => response.text()));
});

t.test('a HEAD request makes no piece of the stream', async (t) => {
  let made = 0;
  async function* pieces() {
    made++;
    yield 'x';
  }
  const server = await serve(t, { '/stream': () => text(pieces()) });
  t.equal((await ask(server, '/stream', { method: 'HEAD' })).status, 200);
  t.equal(made, 0);
});
