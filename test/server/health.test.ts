import t from 'tap';
import { healthRoutes } from '../../lib/server/health.js';
import { Readiness } from '../../lib/server/readiness.js';

async function healthz(ready: boolean, lastUpdated: Date | null) {
  const answer = await healthRoutes({ isReady: () => ready, lastUpdated: () => lastUpdated })['/healthz']!();
  return { status: answer.status, body: JSON.parse(answer.body) as Record<string, unknown> };
}

t.test('/healthz answers as kube-proxy does', async (t) => {
  const updated = new Date('2024-01-02T03:04:05Z');
  const ready = await healthz(true, updated);
  t.equal(ready.status, 200);
  t.match(ready.body, {
    lastUpdated: '2024-01-02T03:04:05.000Z',
    currentTime: /^\d{4}-/,
    nodeEligible: true,
  });
  const starting = await healthz(false, null);
  t.equal(starting.status, 503);
  t.match(starting.body, { lastUpdated: null, nodeEligible: false });
});

t.test('/livez is well even while portals are awaited', async (t) => {
  const answer = await healthRoutes({ isReady: () => false, lastUpdated: () => null })['/livez']!();
  t.equal(answer.status, 200);
});

t.test('ready once no portal of the first state is pending', (t) => {
  let portals = [
    { key: 'a', state: 'pending' },
    { key: 'b', state: 'serving' },
  ];
  const readiness = new Readiness(() => portals);
  t.notOk(readiness.isReady(), 'not before the first state');
  readiness.await(['a', 'b']);
  t.notOk(readiness.isReady(), 'not while one is pending');
  portals = [
    { key: 'a', state: 'no-endpoints' },
    { key: 'b', state: 'serving' },
    { key: 'later', state: 'pending' },
  ];
  t.ok(
    readiness.isReady(),
    'a portal without endpoints is in service: it refuses; a later one is not awaited',
  );
  portals = [{ key: 'a', state: 'pending' }];
  t.ok(readiness.isReady(), 'readiness is not taken back');
  readiness.stop();
  t.notOk(readiness.isReady(), 'until the end');
  t.end();
});

t.test('a portal that is removed is not awaited any more', (t) => {
  const readiness = new Readiness(() => []);
  readiness.await(['a']);
  t.ok(readiness.isReady());
  t.end();
});
