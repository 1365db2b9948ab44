import '../../redirect/namespace.js';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t, { type Test } from 'tap';
import type { ClusterUser } from '../../../lib/sources/kubernetes/kubeconfig.js';
import type { KubernetesOptions } from '../../../lib/sources/kubernetes/kubernetes.js';
import { sh } from '../../redirect/namespace.js';
import { FakeApiServer, type FakeApiServerOptions, PATHS } from './fake-apiserver.js';
import { Harness, service, slice } from './harness.js';

t.setTimeout(0);

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes that something refers to. */
function heapInUse(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

function clusterUserOf({ url }: FakeApiServer): ClusterUser {
  return { cluster: { name: 'test', server: url, skipTLSVerify: false }, user: { name: '' } };
}

/** @param times shorter ones than in earnest, unless given */
async function prepare(
  t: Test,
  options: FakeApiServerOptions = {},
  times: KubernetesOptions['times'] = { keepAliveMs: 1000 },
) {
  const api = await FakeApiServer.forTest(t, options);
  const harness = new Harness(t, { clusterUser: clusterUserOf(api), times });
  return { api, harness };
}

/** With one Service, listed and watched. */
async function prepareSynced(t: Test, ...options: [FakeApiServerOptions?, KubernetesOptions['times']?]) {
  const { api, harness } = await prepare(t, ...options);
  api.put(PATHS.services, service('web'));
  await harness.start();
  await harness.until(() => api.watches === 3, 'three watches');
  return { api, harness };
}

const listsOf = (api: FakeApiServer, path: string) =>
  api.requests.filter(({ url }) => url.pathname === path && !url.searchParams.has('watch'));
const watchesOf = (api: FakeApiServer, path: string) =>
  api.requests.filter(({ url }) => url.pathname === path && url.searchParams.has('watch'));

t.test('the first state is complete, and changes follow', async (t) => {
  const { api, harness } = await prepare(t);
  api.put(PATHS.services, service('web'));
  api.put(PATHS.slices, slice('web', '10.244.0.5'));
  await harness.start();
  t.equal(harness.states.length, 1);
  t.same(harness.services, ['web:80']);
  t.same(harness.addresses, ['10.244.0.5']);

  api.put(PATHS.services, service('web', 81));
  api.put(PATHS.services, service('dns', 53));
  await harness.until(() => harness.services.join() === 'dns:53,web:81', 'both changes');
  api.delete(PATHS.services, 'default/dns');
  await harness.until(() => harness.services.join() === 'web:81', 'the deletion');
});

t.test('the server is asked for what is proxied only', async (t) => {
  const { api } = await prepareSynced(t);
  for (const path of [PATHS.services, PATHS.slices]) {
    for (const { url } of api.requests.filter((request) => request.url.pathname === path)) {
      t.equal(
        url.searchParams.get('labelSelector'),
        '!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless',
      );
    }
  }
  for (const { url } of api.requests.filter((request) => request.url.pathname === PATHS.nodes)) {
    t.equal(url.searchParams.get('fieldSelector'), 'metadata.name=robot');
  }
});

t.test('long lists come in pages', async (t) => {
  const { api, harness } = await prepare(t);
  for (let i = 0; i < 1201; i++) api.put(PATHS.services, service(`s${i}`));
  await harness.start();
  t.equal(harness.now.services.size, 1201);
  t.equal(listsOf(api, PATHS.services).length, 3);
});

t.test('a list whose pages expire is fetched anew, in one piece', async (t) => {
  const { api, harness } = await prepare(t);
  for (let i = 0; i < 501; i++) api.put(PATHS.services, service(`s${i}`));
  api.intercept = (url) => {
    if (!url.searchParams.has('continue')) return null;
    api.put(PATHS.services, service('late'));
    api.compact();
    return null;
  };
  await harness.start();
  t.equal(harness.now.services.size, 502);
  t.equal(listsOf(api, PATHS.services).at(-1)!.url.searchParams.get('limit'), null);
});

t.test('objects that do not change keep their identity', async (t) => {
  const { api, harness } = await prepareSynced(t);
  const { services, slices } = harness.now;
  api.put(PATHS.services, {
    ...service('web'),
    metadata: { ...service('web').metadata, annotations: { a: 'b' } },
  });
  api.put(PATHS.services, service('other', 81));
  await harness.until(() => harness.services.length === 2, 'the second Service');
  t.equal(harness.now.services.get('default/web'), services.get('default/web'));
  t.equal(harness.now.slices, slices);
  t.equal(harness.states.length, 2);
});

t.test('a broken watch goes on where it was, as do bookmarks tell', async (t) => {
  const { api, harness } = await prepareSynced(t);
  for (let i = 0; i < 3; i++) api.put(PATHS.slices, slice('web', `10.244.0.${i + 1}`));
  await harness.until(() => harness.addresses.join() === '10.244.0.3', 'the last slice');
  api.bookmark();
  api.put(PATHS.nodes, { metadata: { name: 'other' } });
  await harness.until(() => harness.source.node?.name === 'other', 'the event after the bookmark');
  api.silently(() => api.put(PATHS.services, service('web', 82)));
  api.breakWatches();
  await harness.until(() => harness.services.join() === 'web:82', 'what happened meanwhile');
  t.equal(listsOf(api, PATHS.services).length, 1);
  t.equal(watchesOf(api, PATHS.services).at(-1)!.url.searchParams.get('resourceVersion'), '104');
});

t.test('a version that the server has forgotten means a new list, and only differences', async (t) => {
  const { api, harness } = await prepareSynced(t);
  api.put(PATHS.services, service('gone', 81));
  await harness.until(() => harness.services.length === 2, 'both Services');
  const before = harness.now.services.get('default/web');
  api.silently(() => {
    api.delete(PATHS.services, 'default/gone');
    api.put(PATHS.services, service('new', 82));
    api.compact();
  });
  api.endWatches();
  await harness.until(() => harness.services.join() === 'new:82,web:80', 'the new list');
  t.equal(harness.now.services.get('default/web'), before);
});

t.test('a server that forgets every version at once is asked no faster than others', async (t) => {
  const { api, harness } = await prepare(t);
  api.intercept = (url) =>
    url.searchParams.has('watch') ? { status: 410, message: 'too old resource version' } : null;
  await harness.start();
  await harness.until(() => listsOf(api, PATHS.services).length >= 3, 'three lists');
  t.ok(watchesOf(api, PATHS.services).length <= 3);
  const [first, , third] = listsOf(api, PATHS.services).map(({ time }) => time) as [number, number, number];
  t.ok(third - first >= 500, 'with rests in between');
});

t.test('a line that is no event is told, and the list is fetched anew', async (t) => {
  const { api, harness } = await prepareSynced(t);
  for (const garbage of ['{"type":"ADDED","object"\n', '\n', 'null\n', '{"type":"SURPRISE"}\n']) {
    const lists = listsOf(api, PATHS.services).length;
    api.send(PATHS.services, garbage);
    await harness.until(() => listsOf(api, PATHS.services).length > lists, `a list after ${garbage}`);
    await harness.until(() => api.watches === 3, 'three watches');
  }
  api.put(PATHS.services, service('web', 83));
  await harness.until(() => harness.services.join() === 'web:83', 'the change after it');
  t.match(
    harness.troubles.join(),
    /the server sent a line that is not a watch event: "{\\"type\\":\\"SURPRISE/,
  );
});

t.test('a line may come in pieces, and half a line is none', async (t) => {
  const { api, harness } = await prepareSynced(t);
  const object = {
    ...service('é', 84),
    metadata: { namespace: 'default', name: 'web', resourceVersion: '101' },
  };
  const line = Buffer.from(`${JSON.stringify({ type: 'MODIFIED', object, note: 'ünïcödé' })}\n`);
  for (const byte of line) api.send(PATHS.services, Buffer.from([byte]) as unknown as string);
  await harness.until(() => harness.services.join() === 'web:84', 'the Service in pieces');
  api.send(PATHS.services, '{"type":"DELETED","object":{"metadata":{"namespace":"default","na');
  api.breakWatches();
  await harness.until(() => watchesOf(api, PATHS.services).length === 2, 'a second watch');
  t.same(harness.services, ['web:84']);
});

t.test(
  'a bad object is told with its name and field; its last good version and the others stay',
  async (t) => {
    const { api, harness } = await prepareSynced(t);
    api.put(PATHS.services, service('web', 70000));
    api.put(PATHS.services, service('other', 81));
    await harness.until(() => harness.services.length === 2, 'the other Service');
    t.same(harness.services, ['other:81', 'web:80']);
    t.match(harness.troubles.join(), 'Service default/web: spec.ports[0].port: 70000 is not a port');
    t.equal(harness.source.problems.length, 1);
    api.put(PATHS.services, service('web', 82));
    await harness.until(() => harness.services.join() === 'other:81,web:82', 'the mended Service');
    t.same(harness.source.problems, []);
  },
);

t.test('without the API server it waits, and says so once', async (t) => {
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

t.test('it can be stopped while it waits', async (t) => {
  const { api, harness } = await prepare(t);
  await api.close();
  const started = harness.start();
  await harness.until(() => harness.troubles.length > 0, 'a warning');
  await harness.source.stop();
  await started;
  t.equal(harness.states.length, 0);
});

t.test('a server that goes away takes nothing along', async (t) => {
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

t.test('a refusal is told with the right that is missing', async (t) => {
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

t.test('a request that gets lost in a half-open connection is made again within 30 s', async (t) => {
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

/** The clients' ports of connections to a port on which something was sent and not acknowledged. */
function portsWithUnsent(port: number): string[] {
  const list = sh(`ss -Htn state established dport = :${port}`).trim().split('\n');
  return list.flatMap((line) => /^\d+\s+[1-9]\d*\s+\S+:(\d+)/.exec(line)?.[1] ?? []);
}

t.test(
  'a storm of changes ends in the exact state, in few steps, and leaves nothing in memory',
  async (t) => {
    const { api, harness } = await prepareSynced(t);
    const SLICES = 100;
    const PER_SECOND = 1000;
    const CHANGES = 30 * PER_SECOND;
    const change = (i: number) =>
      api.put(PATHS.slices, slice(`s${i % SLICES}`, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`));
    for (let i = 0; i < SLICES; i++) change(i);
    await harness.until(() => harness.addresses.length === SLICES, 'all slices');
    const statesBefore = harness.states.length;
    const heapBefore = heapInUse();

    const started = performance.now();
    let last = started;
    let longest = 0;
    for (let i = SLICES; i < CHANGES; await sleep(10)) {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      while (i < Math.min(CHANGES, (now - started) * (PER_SECOND / 1000))) change(i++);
    }
    const expected = Array.from({ length: SLICES }, (_, n) => CHANGES - SLICES + n)
      .map((i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
      .sort()
      .join();
    await harness.until(() => harness.addresses.join() === expected, 'the last state');
    const seconds = (performance.now() - started) / 1000;
    const states = harness.states.length - statesBefore;
    t.comment(
      `${CHANGES} changes in ${seconds.toFixed(1)} s, ${states} states; longest pause ${longest.toFixed(0)} ms`,
    );
    t.ok(states <= 4 + seconds * 4, 'changes are gathered, after the first four');

    // What the test itself remembers of the storm.
    api.compact();
    harness.states.splice(0, harness.states.length - 1);
    const grown = heapInUse() - heapBefore;
    t.ok(grown < 5e6, `${grown} bytes more than before; one in ten changes kept would be as much`);
  },
);

t.test('an older server gives v1beta1 slices, or Endpoints', async (t) => {
  const beta = await prepare(t, { paths: [PATHS.services, PATHS.betaSlices, PATHS.nodes] });
  const topology = { 'kubernetes.io/hostname': 'robot', 'topology.kubernetes.io/zone': 'hall-1' };
  const old = slice('web', '10.244.0.5');
  beta.api.put(PATHS.betaSlices, {
    ...old,
    endpoints: (old.endpoints as object[]).map((endpoint) => ({ ...endpoint, topology })),
  });
  await beta.harness.start();
  t.match([...beta.harness.now.slices.values()][0]!.endpoints, [
    { address: '10.244.0.5', nodeName: 'robot' },
  ]);

  const oldest = await prepare(t, { paths: [PATHS.services, PATHS.endpoints, PATHS.nodes] });
  oldest.api.put(PATHS.endpoints, {
    metadata: { namespace: 'default', name: 'web' },
    subsets: [{ addresses: [{ ip: '10.244.0.6' }], ports: [{ port: 8080 }] }],
  });
  await oldest.harness.start();
  t.same(oldest.harness.addresses, ['10.244.0.6']);
});

t.test('an older form is given up when the server has it no more', async (t) => {
  const { slices, betaSlices } = PATHS;
  const { api, harness } = await prepare(t, { paths: [...Object.values(PATHS)] });
  api.put(betaSlices, slice('web', '10.244.0.5'));
  api.put(slices, slice('web', '10.244.0.6'));
  const hide = (...paths: readonly string[]) => {
    api.intercept = ({ pathname }) =>
      paths.includes(pathname) ? { status: 404, message: 'not found' } : null;
  };
  hide(slices);
  await harness.start();
  t.same(harness.addresses, ['10.244.0.5']);
  hide(betaSlices);
  api.endWatches();
  await harness.until(() => harness.addresses.join() === '10.244.0.6', 'the present form');
});

t.test('a server that has nothing at first is asked for the preferred form again', async (t) => {
  const { api, harness } = await prepare(t, { paths: [...Object.values(PATHS)] });
  api.put(PATHS.slices, slice('web', '10.244.0.5'));
  api.intercept = () => ({ status: 404, message: 'no such site' });
  const started = harness.start();
  await harness.until(() => listsOf(api, PATHS.endpoints).length > 0, 'every form was tried');
  api.intercept = () => null;
  await started;
  t.same(harness.addresses, ['10.244.0.5']);
});

t.test('the own Node is known, and its changes are told', async (t) => {
  const { api, harness } = await prepare(t);
  const labels = { 'topology.kubernetes.io/zone': 'hall-1' };
  api.put(PATHS.nodes, { metadata: { name: 'robot', labels } });
  await harness.start();
  t.match(harness.source.node, { name: 'robot', zone: 'hall-1', isEligible: true });
  const taints = [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }];
  api.put(PATHS.nodes, { metadata: { name: 'robot', labels }, spec: { taints } });
  await harness.until(() => harness.states.length === 2, 'the change');
  t.match(harness.source.node, { isEligible: false });
});

t.test('Events tell the owner of a Service, each once', async (t) => {
  const { api, harness } = await prepareSynced(t);
  const warn = (name: string) =>
    harness.source.warnOwner(
      { object: `Service default/${name}`, message: 'port 30080 is taken' },
      'ListenFailed',
    );
  for (let i = 0; i < 3; i++) warn('web');
  await harness.until(() => api.events.length > 0, 'an Event');
  for (let i = 0; i < 50; i++) warn(`s${i}`);
  await harness.until(() => api.events.length === 20, 'no more than the burst');
  t.match(api.events[0], {
    metadata: { namespace: 'default', generateName: 'web-' },
    regarding: { apiVersion: 'v1', kind: 'Service', name: 'web', uid: 'uid-of-default/web' },
    type: 'Warning',
    reason: 'ListenFailed',
    note: 'port 30080 is taken',
    reportingController: 'kube-portal',
    reportingInstance: 'robot',
  });
  t.match(api.events[0]!.eventTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
});

t.test('the note of an Event keeps within what an API server takes', async (t) => {
  const { api, harness } = await prepareSynced(t);
  harness.source.warnOwner({ object: 'Service default/web', message: `x${'é'.repeat(600)}` }, 'ListenFailed');
  await harness.until(() => api.events.length > 0, 'an Event');
  const note = String(api.events[0]!.note);
  t.ok(Buffer.byteLength(note) <= 1024, 'bytes in UTF-8');
  t.match(note, /^xé+\.\.\. \(\d+ more characters\)$/);
});
