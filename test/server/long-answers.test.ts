import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { text } from '../../lib/server/answer.js';
import { Connections } from '../../lib/server/connections.js';
import { HttpServer } from '../../lib/server/http.js';
import { metricsRoutes } from '../../lib/server/metrics.js';
import type { Routes } from '../../lib/server/route.js';
import { EndlessAnswer, NO_PINS, portalCounters, portalStatus } from './fixtures.js';

/** Milliseconds. Longer than any test takes. */
const NEVER = 3_600_000;
const PORTALS = 5000;
/** Most pieces that may be made without a pause. */
const BATCH = 500;

async function serve(t: Test, routes: Routes, idleMs = NEVER): Promise<HttpServer> {
  const connections = new Connections({ maxOpen: 100, idleMs });
  const server = await HttpServer.listen({ host: '127.0.0.1', port: 0, flag: '--x', routes, connections });
  t.teardown(() => server.close());
  return server;
}

const get = async (server: HttpServer, path: string) =>
  (await fetch(`http://127.0.0.1:${server.port}${path}`)).text();

/** A client that asks and does not read. */
async function ask(server: HttpServer, path: string): Promise<Socket> {
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  return socket;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(1);
}

/** Counts the turns of other work. */
class OtherWork {
  turns = 0;
  #ended = false;

  constructor(t: Test) {
    t.teardown(() => {
      this.#ended = true;
    });
    this.#turn();
  }

  #turn(): void {
    this.turns++;
    if (!this.#ended) setImmediate(() => this.#turn());
  }
}

for (const path of ['/metrics', '/status']) {
  t.test(`other work goes on while ${path} of ${PORTALS} portals is made`, async (t) => {
    const services = Array.from({ length: PORTALS }, (_, index) => `default/web-${index}`);
    const others = new OtherWork(t);
    let longest = 0;
    function* counters() {
      let turns = others.turns;
      let run = 0;
      for (const service of services) {
        yield portalCounters({ service, connectionsTotal: 1 });
        run = others.turns === turns ? run + 1 : 1;
        turns = others.turns;
        longest = Math.max(longest, run);
      }
    }
    const routes = metricsRoutes({
      summary: () => ({
        driver: 'none',
        workers: 1,
        fallbacks: [],
        carrier: 'relay',
        carrierLimits: [],
        problems: [],
      }),
      portals: () => services.map((service) => portalStatus({ service })),
      states: () => [],
      counters,
      droppedLogLines: () => 0,
      connectionsOfRemoved: () => 0,
      pins: NO_PINS,
      endpoints: null,
      maxPins: 100,
      configuration: () => ({}),
    });
    const server = await serve(t, routes);
    const before = others.turns;
    const body = await get(server, path);
    t.ok(longest <= BATCH, `${longest} portals at once`);
    const pieces = path === '/metrics' ? body.split('\n').length : 2 * PORTALS;
    t.ok(others.turns - before >= Math.floor(pieces / BATCH), `${pieces} pieces, ${others.turns} turns`);
    const numberOf = (pattern: RegExp) => body.match(pattern)?.length ?? 0;
    t.ok(numberOf(/web-0"/g) > 0 && numberOf(/web-0"/g) === numberOf(/web-4999"/g), 'it is whole');
  });
}

t.test('pieces wait for their client, and none is made after the client has gone', async (t) => {
  const endless = new EndlessAnswer();
  const server = await serve(t, { '/long': () => text(endless.pieces()), '/short': () => text('hello') });
  const client = await ask(server, '/long');
  await until(() => endless.made > 0);
  t.equal(await get(server, '/short'), 'hello', 'others are answered meanwhile');
  await endless.untilNothingIsTaken();
  t.pass(`after ${endless.made} pieces it waits`);
  client.destroy();
  await until(() => endless.hasEnded);
});

/** Answers that are longer than the kernel's buffers. It counts the answers that are under way. */
class CountedAnswers {
  underWay = 0;
  most = 0;

  *pieces(): Iterable<string> {
    this.most = Math.max(this.most, ++this.underWay);
    try {
      for (let index = 0; index < 30_000; index++) yield 'x'.repeat(1000);
    } finally {
      this.underWay--;
    }
  }
}

t.test('few long answers are sent at the same time, and others wait', async (t) => {
  const long = new CountedAnswers();
  const server = await serve(t, { '/long': () => text(long.pieces()) });
  const slow: Socket[] = [];
  for (let count = 0; count < 4; count++) slow.push(await ask(server, '/long'));
  await until(() => long.underWay === 4);
  const fifth = get(server, '/long');
  t.equal(await Promise.race([fifth, sleep(100, 'it waits')]), 'it waits');
  slow[0]?.destroy();
  t.equal((await fifth).length, 30_000_000);
  t.equal(long.most, 4);
  for (const socket of slow) socket.destroy();
});

t.test('a client that does not read in time loses its connection', async (t) => {
  const long = new CountedAnswers();
  const server = await serve(t, { '/long': () => text(long.pieces()) }, 200);
  const slow = await ask(server, '/long');
  await until(() => long.most === 1);
  await until(() => long.underWay === 0);
  slow.resume();
  await until(() => slow.closed);
});
