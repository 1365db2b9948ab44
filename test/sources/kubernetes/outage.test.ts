import '../../redirect/namespace.js';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { sh } from '../../redirect/namespace.js';
import { PATHS } from './fake-apiserver.js';
import { listsOf, prepare, prepareSynced, service } from './harness.js';

t.setTimeout(0);

t.test('without an API server, the start waits and logs one warning', async (t) => {
  const { api, harness } = await prepare(t);
  const { port } = api;
  await api.close();
  const started = harness.start();
  await harness.until(() => harness.troubles.length > 0, 'a warning');
  await sleep(1500);
  t.equal(harness.troubles.length, 1);
  t.match(harness.troubles[0], /waiting for it before anything is served: .*ECONNREFUSED/);
  await api.listen(port);
  api.put(PATHS.services, service('web'));
  await started;
  t.same(harness.services, ['web:80']);
  await harness.until(
    () => harness.lines.some(({ msg }) => /answers again/.test(String(msg))),
    'the end of it',
  );
});

t.test('the source can be stopped while the start waits', async (t) => {
  const { api, harness } = await prepare(t);
  await api.close();
  const started = harness.start();
  await harness.until(() => harness.troubles.length > 0, 'a warning');
  await harness.source.stop();
  await started;
  t.equal(harness.states.length, 0);
});

t.test('if the server goes away, the last objects stay', async (t) => {
  const { api, harness } = await prepareSynced(t);
  const { port } = api;
  await api.close();
  await harness.until(
    () => harness.troubles.some((line) => /the last Services and endpoints stay in effect/.test(line)),
    'a warning',
  );
  t.equal(harness.states.length, 1);
  await api.listen(port);
  api.put(PATHS.services, service('web', 85));
  await harness.until(() => harness.services.join() === 'web:85', 'the change after it came back');
});

t.test('a refusal is logged with the right that is missing', async (t) => {
  const { api, harness } = await prepare(t);
  api.intercept = (url) =>
    url.pathname === PATHS.slices ? { status: 403, message: 'endpointslices is forbidden' } : null;
  const started = harness.start();
  await harness.until(() => harness.troubles.length > 0, 'a warning');
  t.match(harness.troubles, [/endpointslices is forbidden; .*deploy\/rbac.yaml/]);
  t.equal(harness.states.length, 0);
  api.intercept = () => null;
  await started;
});

t.test('a half-open connection is noticed and replaced', async (t) => {
  const { api, harness } = await prepareSynced(t);
  api.silently(() => api.put(PATHS.services, service('web', 86)));
  for (const port of api.watchPorts) {
    sh(`iptables -A INPUT -p tcp --dport ${port} -j DROP; iptables -A INPUT -p tcp --sport ${port} -j DROP`);
  }
  await harness.until(() => harness.services.join() === 'web:86', 'what happened behind its back');
  t.equal(listsOf(api, PATHS.services).length, 1);
});

t.test('a request that is lost in a half-open connection is repeated within 30 s', async (t) => {
  const { api, harness } = await prepareSynced(t, {}, {});
  await sleep(1000);
  api.silently(() => api.put(PATHS.services, service('web', 86)));
  const requests = `INPUT -p tcp --dport ${api.port} -m length --length 200: -j DROP`;
  sh(`iptables -A ${requests}`);
  api.endWatches();
  let stuck: string[] = [];
  await harness.until(() => {
    stuck = portsWithUnsent(api.port);
    return stuck.length === 3;
  }, 'three requests under way');
  // Not even an acknowledgement: the kernel sends no keep-alive probes while it has data to send again.
  for (const port of stuck) sh(`iptables -A INPUT -p tcp --sport ${port} -j DROP`);
  sh(`iptables -D ${requests}`);
  const lost = performance.now();
  await harness.until(() => harness.services.join() === 'web:86', 'what happened behind its back');
  const seconds = (performance.now() - lost) / 1000;
  t.ok(seconds < 30, `${seconds.toFixed(0)} s`);
});

/** The client ports of connections to `port` that have data without an acknowledgement. */
function portsWithUnsent(port: number): string[] {
  const list = sh(`ss -Htn state established dport = :${port}`).trim().split('\n');
  return list.flatMap((line) => /^\d+\s+[1-9]\d*\s+\S+:(\d+)/.exec(line)?.[1] ?? []);
}
