import t from 'tap';
import type { PortalStatus } from '../../lib/portal/status.js';
import { type HealthSource, healthRoutes } from '../../lib/server/health.js';
import { Readiness } from '../../lib/server/readiness.js';
import { answerOf } from './fixtures.js';

async function ask(path: '/healthz' | '/livez', over: Partial<HealthSource>) {
  const source = { isReady: () => true, isNodeEligible: () => true, lastUpdated: () => null, ...over };
  const answer = await answerOf(healthRoutes(source), path);
  return { status: answer.status, body: JSON.parse(String(answer.body)) as Record<string, unknown> };
}

t.test('/healthz answers as kube-proxy does', async (t) => {
  const updated = new Date('2024-01-02T03:04:05Z');
  const ready = await ask('/healthz', { lastUpdated: () => updated });
  t.equal(ready.status, 200);
  t.match(ready.body, {
    lastUpdated: '2024-01-02T03:04:05.000Z',
    currentTime: /^\d{4}-/,
    nodeEligible: true,
    healthy: true,
  });
  const starting = await ask('/healthz', { isReady: () => false });
  t.equal(starting.status, 503);
  t.match(starting.body, { lastUpdated: null, nodeEligible: true, healthy: false });
});

t.test('a node that will be deleted fails /healthz, and /livez answers 200', async (t) => {
  const going = { isNodeEligible: () => false };
  const healthz = await ask('/healthz', going);
  t.equal(healthz.status, 503);
  t.match(healthz.body, { nodeEligible: false, healthy: true });
  const livez = await ask('/livez', going);
  t.equal(livez.status, 200);
  t.notHas(livez.body, { nodeEligible: false });
});

t.test('/livez answers 200 while portals are awaited', async (t) => {
  t.equal((await ask('/livez', { isReady: () => false })).status, 200);
});

t.test('the program is ready once no portal of the first state is pending', (t) => {
  let portals: Pick<PortalStatus, 'key' | 'state'>[] = [
    { key: 'a', state: 'pending' },
    { key: 'b', state: 'serving' },
  ];
  const readiness = new Readiness(
    () => portals,
    () => true,
  );
  t.notOk(readiness.isReady(), 'not before the first state');
  readiness.await(['a', 'b']);
  t.notOk(readiness.isReady(), 'not while one is pending');
  portals = [
    { key: 'a', state: 'no-endpoints' },
    { key: 'b', state: 'taken' },
    { key: 'later', state: 'pending' },
  ];
  t.ok(
    readiness.isReady(),
    'one without endpoints refuses, one whose port others hold cannot be had, a later one is not awaited',
  );
  portals = [{ key: 'a', state: 'pending' }];
  t.ok(readiness.isReady(), 'readiness is not taken back');
  readiness.stop();
  t.notOk(readiness.isReady(), 'until the end');
  t.end();
});

t.test('a removed portal is not awaited any more', (t) => {
  const readiness = new Readiness(
    () => [],
    () => true,
  );
  readiness.await(['a']);
  t.ok(readiness.isReady());
  t.end();
});

t.test('the program is not ready while changes do not take effect', (t) => {
  let isUpToDate = false;
  const readiness = new Readiness(
    () => [],
    () => isUpToDate,
  );
  readiness.await(['a']);
  t.notOk(readiness.isReady());
  isUpToDate = true;
  t.ok(readiness.isReady());
  isUpToDate = false;
  t.notOk(readiness.isReady(), 'whenever it happens');
  isUpToDate = true;
  t.ok(readiness.isReady(), 'and is again afterwards');
  t.end();
});
