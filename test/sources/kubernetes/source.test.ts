import t from 'tap';
import { PATHS } from './fake-apiserver.js';
import { prepare, prepareSynced, service, slice } from './harness.js';

t.setTimeout(0);

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

t.test('the server is asked only for objects that are proxied', async (t) => {
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

t.test('an unchanged object stays the same object', async (t) => {
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

t.test('a bad object is reported with its field, and its last good version stays', async (t) => {
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
});

t.test('the Node of this machine is known, and its changes are delivered', async (t) => {
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
