import '../redirect/namespace.js';
import t from 'tap';
import { loadClusterUser } from '../../lib/sources/kubernetes/cluster-user.js';
import { Harness } from '../sources/kubernetes/harness.js';
import { ApiServer } from './apiserver.js';
import { localPlace } from './local-place.js';

function service(name: string, port = 80, labels = {}) {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'default', name, labels },
    spec: { ports: [{ port }] },
  };
}

function slice(name: string, ...addresses: readonly string[]) {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'default', name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080, protocol: 'TCP' }],
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
  };
}

t.setTimeout(0);

t.test('a real API server is followed with the rights of deploy/rbac.yaml', async (t) => {
  const api = await ApiServer.forTest(t, localPlace);
  const clusterUser = loadClusterUser({ kubeconfig: await api.proxyKubeconfig() });
  const zone = { 'topology.kubernetes.io/zone': 'hall-1' };
  await api.apply(
    { apiVersion: 'v1', kind: 'Node', metadata: { name: 'robot', labels: zone } },
    service('web'),
    service('elsewhere', 80, { 'service.kubernetes.io/service-proxy-name': 'other' }),
    slice('web', '10.244.0.5'),
  );
  const harness = new Harness(t, { clusterUser });
  await harness.start();
  const others = ['kubernetes:443'];
  t.same(harness.services, [...others, 'web:80']);
  t.same(harness.addresses, ['10.244.0.5']);
  t.match(harness.source.node, { name: 'robot', zone: 'hall-1', isEligible: true });
  t.same(harness.troubles, []);

  t.comment('changes');
  await api.apply(service('web', 81), service('dns', 53), slice('web', '10.244.0.6', '10.244.0.7'));
  await harness.until(() => harness.services.join() === 'dns:53,kubernetes:443,web:81', 'the changes');
  await harness.until(() => harness.addresses.join() === '10.244.0.6,10.244.0.7', 'the new endpoints');
  await api.kubectl(['delete', 'service', 'dns']);
  await harness.until(() => harness.services.join() === 'kubernetes:443,web:81', 'the deletion');

  t.comment('the server is killed, and what happened is compacted away before it is back');
  await api.kill();
  await harness.until(() => harness.troubles.length > 0, 'a warning');
  t.same(harness.services, ['kubernetes:443', 'web:81']);
  await api.start();
  await api.apply(service('web', 82));
  await api.compact();
  await harness.until(() => harness.services.join() === 'kubernetes:443,web:82', 'the change');

  t.comment('an Event is written');
  harness.source.warnOwner({ object: 'Service default/web', message: 'port 30080 is taken' }, 'ListenFailed');
  await harness.until(
    () => harness.lines.some(({ msg }) => /^wrote an Event for the owner/.test(String(msg))),
    'an Event',
  );
  const events = await api.kubectl(['events', '--for=service/web', '--no-headers']);
  t.match(events, /Warning +ListenFailed +Service\/web +port 30080 is taken/);
});
