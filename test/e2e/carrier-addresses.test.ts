import t from 'tap';
import { KubePortal } from '../lab/kubeportal.js';
import { AddressStage, CLUSTER_CIDR, type Keeps } from './clientaddresses.js';

t.setTimeout(0);

const FLAGS = ['--redirect=iptables', '--hostname-override=node', `--cluster-cidr=${CLUSTER_CIDR}`];
const keptByRelay: Keeps = () => false;

t.test('the relay, whatever the client: pods see the node', async (t) => {
  const stage = await AddressStage.forTest(t, 'bridge port');
  const flags = [...FLAGS, '--carrier=relay'];
  await KubePortal.forTest(t, stage.lab.node, { objects: stage.objects(), flags });
  await stage.check(t, keptByRelay);
});
