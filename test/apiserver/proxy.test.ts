import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { endpointSlice, serviceWithPods } from '../lab/manifest.js';
import { ApiServer, NODE } from './apiserver.js';

const VIP = '10.96.0.10';
const FLAGS = ['--hostname-override=robot', '--v=4'];

t.setTimeout(0);

async function prepare(t: Test) {
  const lab = await Lab.forTest(t, { pods: ['client', 'a', 'b'] });
  const pods = [lab.pod('a'), lab.pod('b')];
  for (const pod of pods) await startBackend(pod, { tcp: { 8080: 'http', 7000: 'echo' } });
  const api = await ApiServer.forTest(t, lab.node);
  await api.apply(NODE);
  const kubeconfig = await api.proxyKubeconfig();
  const kubePortal = await KubePortal.forTest(t, lab.node, { kubeconfig, flags: FLAGS });
  return { lab, pods, api, kubePortal };
}

t.test('a Service of a real cluster lives and changes', async (t) => {
  const { lab, pods, api, kubePortal } = await prepare(t);
  const b = item(pods, 1);
  const web = { name: 'web', clusterIPs: [VIP], ports: [{ name: 'http', port: 80, targetPort: 8080 }] };
  /** Answers of two connections, or the exit code of curl. */
  const ask = async (port: number, address = VIP, from = lab.pod('client')) => {
    const url = `http://${address}:${port}`;
    const result = await from.exec('curl', ['-sS', '--max-time', '2', url, url]);
    return result.code === 0 ? result.stdout.trim().split('\n').sort().join() : result.code;
  };
  const becomes = (expected: string | number, port: number, what: string, address?: string) =>
    kubePortal.until(async () => (await ask(port, address)) === expected, what);

  await api.apply(...serviceWithPods(web, pods));
  await becomes('a,b', 80, 'it is created');
  await api.apply(endpointSlice(web, 'IPv4', [b]));
  await becomes('b,b', 80, 'it is scaled down');
  await api.kubectl([
    'patch',
    'service',
    'web',
    '--type=json',
    '-p',
    '[{"op":"replace","path":"/spec/ports/0/port","value":81}]',
  ]);
  await becomes('b,b', 81, 'its port changes');
  t.type(await ask(80), 'number', 'the old port is not served');
  await api.kubectl([
    'patch',
    'service',
    'web',
    '-p',
    '{"spec":{"type":"NodePort","ports":[{"port":81,"nodePort":30080}]}}',
  ]);
  await becomes('b,b', 30080, 'it becomes a NodePort', lab.node.address4);
  await api.kubectl([
    'patch',
    'service',
    'web',
    '-p',
    '{"spec":{"type":"ClusterIP","ports":[{"port":81,"nodePort":null}]}}',
  ]);
  await becomes(7, 30080, 'it is a NodePort no more', lab.node.address4);
  await api.apply(endpointSlice(web, 'IPv4', pods));
  await becomes('a,b', 81, 'it is scaled up');
  await api.kubectl(['patch', 'service', 'web', '-p', '{"spec":{"sessionAffinity":"ClientIP"}}']);
  await kubePortal.until(async () => ['a,a', 'b,b'].includes(String(await ask(81))), 'it has affinity');
  await api.kubectl(['delete', 'service', 'web']);
  await kubePortal.until(
    async () => !(await kubePortal.status()).portals.some(({ service }) => service === 'default/web'),
    'it is deleted',
  );
  t.same(
    kubePortal.log.filter(({ level }) => level >= 40).map(({ msg }) => msg),
    [],
    'nothing to complain about',
  );
});

t.test('a taken NodePort is told by an Event', async (t) => {
  const { lab, pods, api, kubePortal } = await prepare(t);
  await startBackend(lab.node, { name: 'squatter', tcp: { 30081: 'http' } });
  const web = { name: 'web', clusterIPs: [VIP], ports: [{ port: 80, targetPort: 8080, nodePort: 30081 }] };
  await api.apply(...serviceWithPods(web, pods));
  await kubePortal.waitForLog(({ msg }) => /^wrote an Event for the owner/.test(msg));
  const events = await api.kubectl(['events', '--for=service/web', '--no-headers']);
  t.match(events, /Warning +ListenFailed +Service\/web .*30081/);
});

t.test('an annotation takes effect, and a wrong one is told by an Event', async (t) => {
  const { pods, api, kubePortal } = await prepare(t);
  await api.apply(...serviceWithPods({ name: 'web', clusterIPs: [VIP], ports: [{ port: 80 }] }, pods));
  const annotate = (value: string) =>
    api.kubectl(['annotate', '--overwrite', 'service', 'web', `kube-portal.dev/active-standby=${value}`]);
  const becomes = (wanted: boolean) =>
    kubePortal.until(
      async () =>
        (await kubePortal.status()).portals.some(
          ({ service, activeStandby }) => service === 'default/web' && activeStandby === wanted,
        ),
      `active-standby is ${wanted}`,
    );
  await becomes(false);
  await annotate('true');
  await becomes(true);
  await annotate('yes');
  await becomes(false);
  await kubePortal.waitForLog(({ msg }) => /^wrote an Event for the owner/.test(msg));
  const events = await api.kubectl(['events', '--for=service/web', '--no-headers']);
  t.match(events, /Warning .* Service\/web .*active-standby.*"yes" is not one of true, false/);
});

t.test('without an API server it waits, is not healthy, and can be stopped', async (t) => {
  const lab = await Lab.forTest(t);
  const kubeconfig = join(t.testdir(), 'kubeconfig');
  const config = {
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'c' } }],
    clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:6443' } }],
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
  const kubePortal = KubePortal.launch(lab.node, { kubeconfig });
  t.teardown(() => kubePortal.dispose());
  await kubePortal.waitForLog(({ msg }) => /waiting for it before anything is served/.test(msg));
  t.equal(await kubePortal.healthz(), 503);
  t.equal(await kubePortal.stop(), 0);
});
