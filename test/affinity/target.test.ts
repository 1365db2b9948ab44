import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { findTarget } from '../../lib/cli/affinity-target.js';
import { UsageError } from '../../lib/cli/usage-error.js';
import { type KubernetesObject, serviceWithPods } from '../lab/manifest.js';

const PODS = ['web-0', 'web-1', 'web-2'].map((name, index) => ({
  name,
  address4: `10.244.0.${index + 2}`,
  address6: `fd00:244::${index + 2}`,
}));
const SERVICE = {
  name: 'web',
  clusterIPs: ['10.96.0.10', 'fd00:96::10'],
  ports: [
    { name: 'http', protocol: 'TCP', port: 80 },
    { name: 'dds', protocol: 'UDP', port: 7410 },
  ],
  affinity: true,
} as const;

/** An API server with one Service, and the path of a kubeconfig for it. */
async function serve(t: Test, [service, ...slices]: readonly KubernetesObject[]): Promise<string> {
  const server = createServer((request, response) => {
    const answers: Readonly<Record<string, unknown>> = {
      '/api/v1/namespaces/default/services/web': service,
      '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices': { items: slices },
    };
    const answer = answers[new URL(request.url ?? '', 'http://server').pathname];
    response.statusCode = answer === undefined ? 404 : 200;
    response.end(JSON.stringify(answer ?? { kind: 'Status', message: 'services "other" not found' }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const path = join(t.testdir(), 'kubeconfig');
  const kubeconfig = {
    'current-context': 'x',
    clusters: [{ name: 'x', cluster: { server: `http://127.0.0.1:${port}` } }],
    contexts: [{ name: 'x', context: { cluster: 'x', user: 'x' } }],
    users: [{ name: 'x', user: {} }],
  };
  writeFileSync(path, JSON.stringify(kubeconfig));
  return path;
}

t.test('a Service by name has its address, ports, affinity and endpoints from the API server', async (t) => {
  const kubeconfig = await serve(t, serviceWithPods(SERVICE, PODS));
  const target = await findTarget('default/web', null, kubeconfig);
  t.same(target, {
    address: '10.96.0.10',
    service: 'default/web',
    ports: [
      { port: 80, protocol: 'TCP' },
      { port: 7410, protocol: 'UDP' },
    ],
    affinity: 'ClientIP',
    endpoints: 3,
    endpointNames: new Map(PODS.map(({ address4, name }) => [address4, name])),
  });
  t.match(await findTarget('web', 'IPv6', kubeconfig), {
    address: 'fd00:96::10',
    endpointNames: new Map(PODS.map(({ address6, name }) => [address6, name])),
  });
});

t.test('a Service without affinity is expected to have none', async (t) => {
  const kubeconfig = await serve(t, serviceWithPods({ ...SERVICE, affinity: false }, PODS));
  t.equal((await findTarget('web', null, kubeconfig)).affinity, 'None');
});

t.test('an address needs no API server', async (t) => {
  t.match(await findTarget('010.96.0.10', null, undefined), {
    address: '10.96.0.10',
    service: null,
    ports: [],
  });
  await t.rejects(findTarget('10.96.0.10', 'IPv6', undefined), UsageError);
});

t.test('what is wrong is said with the name of the Service', async (t) => {
  const kubeconfig = await serve(t, serviceWithPods({ ...SERVICE, clusterIPs: ['10.96.0.10'] }, PODS));
  await t.rejects(findTarget('other', null, kubeconfig), {
    message: 'Service default/other: services "other" not found',
  });
  await t.rejects(findTarget('web', 'IPv6', kubeconfig), {
    message: 'Service default/web has no ClusterIP of IPv6',
  });
  await t.rejects(findTarget('a/b/c', null, kubeconfig), UsageError);
});
