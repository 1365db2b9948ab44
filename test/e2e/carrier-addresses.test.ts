import t from 'tap';
import { KubePortal } from '../lab/kubeportal.js';
import { AddressStage, CLUSTER_CIDR, type Keeps, keptByKubeProxy } from './clientaddresses.js';

t.setTimeout(0);

const FLAGS = ['--redirect=iptables', '--hostname-override=node', `--cluster-cidr=${CLUSTER_CIDR}`];
const keptByRelay: Keeps = () => false;

t.test('the relay, whatever the client: pods see the node', async (t) => {
  const stage = await AddressStage.forTest(t, 'bridge port');
  const flags = [...FLAGS, '--carrier=relay'];
  await KubePortal.forTest(t, stage.lab.node, { objects: stage.objects(), flags });
  await stage.check(t, keptByRelay);
});

for (const link of ['bridge port', 'neighbour', 'point to point'] as const) {
  t.test(`the kernel, pods with the link ${link}: pods see what kube-proxy would show them`, async (t) => {
    const stage = await AddressStage.forTest(t, link);
    const flags = [...FLAGS, '--carrier=kernel'];
    await KubePortal.forTest(t, stage.lab.node, { objects: stage.objects(), flags });
    await stage.check(t, keptByKubeProxy(false));
  });
}

t.test('the kernel with --masquerade-all: pods see the node of clients of ClusterIPs', async (t) => {
  const stage = await AddressStage.forTest(t, 'bridge port');
  const flags = [...FLAGS, '--carrier=kernel', '--masquerade-all'];
  await KubePortal.forTest(t, stage.lab.node, { objects: stage.objects(), flags });
  await stage.check(t, keptByKubeProxy(true));
});
