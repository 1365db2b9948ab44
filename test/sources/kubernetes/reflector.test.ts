import t from 'tap';
import { PATHS } from './fake-apiserver.js';
import { listsOf, prepare, prepareSynced, service, slice, watchesOf } from './harness.js';

t.setTimeout(0);

t.test('a long list is fetched in pages', async (t) => {
  const { api, harness } = await prepare(t);
  for (let i = 0; i < 1201; i++) api.put(PATHS.services, service(`s${i}`));
  await harness.start();
  t.equal(harness.now.services.size, 1201);
  t.equal(listsOf(api, PATHS.services).length, 3);
});

t.test('a list that expires between two pages is fetched again in one piece', async (t) => {
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

t.test('after a broken watch, the next one starts at the last bookmark or event', async (t) => {
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

t.test('if the server has forgotten the version, a new list brings only the differences', async (t) => {
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

t.test('a server that forgets every version at once is not asked without delay', async (t) => {
  const { api, harness } = await prepare(t);
  api.intercept = (url) =>
    url.searchParams.has('watch') ? { status: 410, message: 'too old resource version' } : null;
  await harness.start();
  await harness.until(() => listsOf(api, PATHS.services).length >= 3, 'three lists');
  t.ok(watchesOf(api, PATHS.services).length <= 3);
  const [first, , third] = listsOf(api, PATHS.services).map(({ time }) => time) as [number, number, number];
  t.ok(third - first >= 500, 'with delays between');
});

t.test('a line that is not an event is logged, and the list is fetched again', async (t) => {
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

t.test('a line may come in pieces, and an incomplete line is not used', async (t) => {
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

t.test('if the server no longer has an older form, the preferred form is used', async (t) => {
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

t.test('if the server has no form at first, the preferred form is tried again', async (t) => {
  const { api, harness } = await prepare(t, { paths: [...Object.values(PATHS)] });
  api.put(PATHS.slices, slice('web', '10.244.0.5'));
  api.intercept = () => ({ status: 404, message: 'no such site' });
  const started = harness.start();
  await harness.until(() => listsOf(api, PATHS.endpoints).length > 0, 'every form was tried');
  api.intercept = () => null;
  await started;
  t.same(harness.addresses, ['10.244.0.5']);
});
