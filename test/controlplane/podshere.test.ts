import t from 'tap';
import { podsHere } from '../../lib/controlplane/podshere.js';

const CLUSTER = ['10.244.0.0/16', 'fd00:244::/48'];
const NOTHING = () => [];

t.test(
  '--cluster-cidr tells which addresses are pods, the Node and its links tell which pods are its own',
  async (t) => {
    const bridge = () => ['10.244.1.0/24', '192.0.2.0/24', 'fd00:244:0:1::/64', 'fe80::/64'];
    t.same(podsHere(CLUSTER, [], bridge), ['10.244.1.0/24', 'fd00:244:0:1::/64']);
    t.same(podsHere(CLUSTER, ['10.244.1.0/24'], NOTHING), ['10.244.1.0/24', 'fd00:244::/48'], 'by family');
    t.same(
      podsHere(CLUSTER, ['10.244.1.0/24', 'fd00:244:0:1::/64'], () => ['10.244.87.64/26']),
      ['10.244.1.0/24', '10.244.87.64/26', 'fd00:244:0:1::/64'],
      'a plug-in that allots addresses itself',
    );
    t.same(podsHere(CLUSTER, ['10.244.1.0/24'], bridge), ['10.244.1.0/24', 'fd00:244:0:1::/64'], 'each once');
  },
);

t.test('if the own pods are unknown, all pods of the cluster count', async (t) => {
  t.same(podsHere(CLUSTER, [], NOTHING), CLUSTER);
  t.same(
    podsHere(CLUSTER, [], () => ['10.0.0.0/8', '10.245.0.0/24']),
    CLUSTER,
    'a wider link tells nothing',
  );
});

t.test('without --cluster-cidr the podCIDRs count', async (t) => {
  t.same(
    podsHere([], ['10.244.1.0/24'], () => ['10.244.2.0/24']),
    ['10.244.1.0/24'],
  );
  t.same(podsHere([], [], NOTHING), []);
});
