import t from 'tap';
import { startBackend } from './backend.js';
import { item } from './items.js';
import { KubePortal } from './kubeportal.js';
import { Lab } from './lab.js';
import { serviceWithPods } from './manifest.js';

t.test('a kube-portal of the lab serves, changes its manifest, and ends', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'a', 'b'] });
  const pods = [lab.pod('a'), lab.pod('b')];
  for (const pod of pods) await startBackend(pod, { tcp: { 8080: 'http' } });
  const web = {
    name: 'web',
    clusterIPs: ['10.96.0.10', 'fd00:96::10'],
    ports: [{ port: 80, targetPort: 8080 }],
  };

  const kubePortal = await KubePortal.forTest(t, lab.node, { objects: serviceWithPods(web, pods) });
  const ask = (url: string) => lab.pod('client').must('curl', ['-sS', url]);
  for (const url of ['http://10.96.0.10', 'http://[fd00:96::10]']) {
    t.same([await ask(url), await ask(url)].sort(), ['a\n', 'b\n'], url);
  }

  kubePortal.setManifest(serviceWithPods(web, [item(pods, 1)]));
  await kubePortal.until(
    async () => item((await kubePortal.status()).portals, 0).endpoints.length === 1,
    'the change',
  );
  t.same([await ask('http://10.96.0.10'), await ask('http://10.96.0.10')], ['b\n', 'b\n']);

  t.match(await kubePortal.metrics(), /connections_total/);
  t.ok(kubePortal.rss() > 0);
  await kubePortal.kill9();
  await kubePortal.startAgain();
  t.equal(await ask('http://10.96.0.10'), 'b\n', 'after a restart');
  t.equal(await kubePortal.stop(), 0, 'exit code');
  t.ok(kubePortal.log.length > 0);
});
