import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { HeldConnections } from '../lab/client.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';

t.setTimeout(0);

for (const iptables of ['nft', 'legacy'] as const) {
  t.test(`open connections outlive the node's last Service, ${iptables}`, async (t) => {
    const lab = await Lab.forTest(t, { iptables, pods: ['client', 'a'] });
    const pod = lab.pod('a');
    await startBackend(pod, { tcp: { 8080: 'name' } });
    const web = { name: 'web', clusterIPs: ['10.96.0.10'], ports: [{ port: 80, targetPort: 8080 }] };
    const flags = ['--redirect', 'iptables', '--workers', '2'];
    const objects = serviceWithPods(web, [pod]);
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
    const held = HeldConnections.open(lab.pod('client'), { address: '10.96.0.10', port: 80, connections: 3 });
    t.match(await held.round(), { answered: 3 });
    kubePortal.setManifest([]);
    await kubePortal.until(
      async () => (await kubePortal.status()).portals.length === 0,
      'the Service is gone',
    );
    t.same(await held.round(), { answered: 3, errors: [] }, 'still translated');
    await held.close();
  });
}
