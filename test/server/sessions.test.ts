import t from 'tap';
import type { EndpointLoad, Session, SessionsPage } from '../../lib/dataplane/shared/sessions.js';
import { BadQuery } from '../../lib/server/query.js';
import { sessionsRoute } from '../../lib/server/sessions.js';
import { bodyOf } from './fixtures.js';

const PORTAL = 'default/web:http/TCP/IPv4';

function session(client: string, endpoint = '10.0.0.1:8080'): Session {
  return {
    portal: PORTAL,
    client,
    endpoint,
    carrier: 'relay',
    state: 'open',
    idleMs: 0,
    bytesIn: null,
    bytesOut: null,
  };
}

function load(endpoint: string | null, sessions: number): EndpointLoad {
  return { portal: PORTAL, endpoint, sessions };
}

const LAST = { next: null };

function routesOf(pages: readonly SessionsPage[], asked: unknown[] = []) {
  return {
    '/sessions': sessionsRoute({
      async *sessions(...question) {
        asked.push(question);
        yield* pages;
      },
    }),
  };
}

t.test('/sessions lists the sessions of all pages, and adds up those of each endpoint', async (t) => {
  const routes = routesOf([
    {
      sessions: [session('192.0.2.1:1'), session('192.0.2.1:2')],
      loads: [load('10.0.0.1:8080', 2)],
      ...LAST,
    },
    { sessions: [], loads: [], ...LAST },
    { sessions: [session('192.0.2.1:3')], loads: [load('10.0.0.1:8080', 5), load(null, 1)], ...LAST },
  ]);
  const body = await bodyOf(routes, '/sessions');
  t.same(JSON.parse(body), {
    sessions: [session('192.0.2.1:1'), session('192.0.2.1:2'), session('192.0.2.1:3')],
    endpoints: [load('10.0.0.1:8080', 7), load(null, 1)],
    total: 8,
  });
  t.equal(body.split('\n').filter((line) => line.includes('192.0.2.1')).length, 3, 'one a line');
});

t.test('without sessions, the lists are empty', async (t) => {
  t.same(JSON.parse(await bodyOf(routesOf([]), '/sessions')), { sessions: [], endpoints: [], total: 0 });
});

t.test('the query chooses the sessions', async (t) => {
  const asked: unknown[] = [];
  const routes = routesOf([], asked);
  await bodyOf(routes, '/sessions');
  await bodyOf(routes, '/sessions?service=default/web&client=fd00::7&limit=0');
  t.same(asked, [
    [{ service: null, client: null }, 1000],
    [{ service: 'default/web', client: 'fd00::7' }, 0],
  ]);
});

t.test('a wrong query is refused before a worker is asked', async (t) => {
  const asked: unknown[] = [];
  const routes = routesOf([], asked);
  for (const [query, message] of [
    ['service=web', 'service: "web" is not the namespace/name of a Service'],
    ['client=robot-7', 'client: "robot-7" is not an IP address'],
    ['client=10.0.0.0/8', 'client: "10.0.0.0/8" is not an IP address'],
    ['limit=100001', 'limit: "100001" is not a number from 0 to 100000'],
    ['limit=-1', 'limit: "-1" is not a number from 0 to 100000'],
    ['port=80', 'port: no such field; there are: service client limit'],
  ] as const) {
    await t.rejects(bodyOf(routes, `/sessions?${query}`), new BadQuery(message));
  }
  t.same(asked, []);
});
