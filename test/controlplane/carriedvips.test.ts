import t from 'tap';
import { areSameCarried, type CarriedContext, carriedVips } from '../../lib/controlplane/carriedvips.js';
import { NodeAddresses } from '../../lib/controlplane/nodeaddresses.js';
import type { PortalProblem } from '../../lib/controlplane/portalproblem.js';
import { PublicPorts } from '../../lib/controlplane/publicports.js';
import type { WantedListener } from '../../lib/controlplane/wantedlisteners.js';
import { EVERYONE } from '../../lib/portal/admission.js';
import { DEFAULT_POLICY } from '../../lib/portal/policy.js';
import type { Portal } from '../../lib/portal/portal.js';

const PORTAL: Portal = {
  key: 'default/web:/TCP/IPv4',
  service: 'default/web',
  portName: '',
  protocol: 'TCP',
  family: 'IPv4',
  vips: [{ address: '10.96.0.10', port: 80, masquerade: 'off-cluster' }],
  nodePort: null,
  nodePortMasquerade: 'never',
  policy: DEFAULT_POLICY,
  admission: EVERYONE,
  endpoints: [],
  unserved: 'refuse',
};
const NODE_PORT: Portal = { ...PORTAL, nodePort: 30_080 };

class TwoAddresses extends NodeAddresses {
  override single(): readonly string[] {
    return ['192.0.2.1', '192.0.2.2'];
  }
}

function context(over: Partial<CarriedContext> = {}): CarriedContext {
  return {
    carriers: { mayCarry: () => true, mayTakeOver: () => false, masqueradesAll: false },
    nodeAddresses: new TwoAddresses([]),
    publicPorts: new PublicPorts(),
    isVip: () => false,
    ...over,
  };
}

t.test('a portal without a NodePort shares the list that it has', async (t) => {
  t.equal(carriedVips(PORTAL, context(), []), PORTAL.vips);
});

t.test('a NodePort is carried on each address of the node that serves it', async (t) => {
  t.same(carriedVips(NODE_PORT, context(), []), [
    ...PORTAL.vips,
    { address: '192.0.2.1', port: 30_080, masquerade: 'never' },
    { address: '192.0.2.2', port: 30_080, masquerade: 'never' },
  ]);
});

t.test('a NodePort is not carried where its listener is not open', async (t) => {
  const portsWithout = (address: string, kind: WantedListener['kind'] = 'nodePort') => {
    const missing = { address, port: 30_080, kind };
    const problem: PortalProblem = { kind: 'taken', missing, message: '' };
    return carriedVips(NODE_PORT, context(), [problem])?.map((vip) => vip.address);
  };
  t.same(portsWithout('192.0.2.1'), ['10.96.0.10', '192.0.2.2']);
  t.same(portsWithout('0.0.0.0'), ['10.96.0.10']);
  t.same(portsWithout('0.0.0.0', 'proxyPort'), ['10.96.0.10', '192.0.2.1', '192.0.2.2']);
});

t.test('a VIP of another portal takes precedence over a NodePort', async (t) => {
  const publicPorts = new PublicPorts();
  const other = { ...PORTAL, vips: [{ address: '192.0.2.2', port: 30_080, masquerade: 'always' as const }] };
  publicPorts.update({ added: [other], changed: [], removed: [] });
  const isVip: CarriedContext['isVip'] = (_protocol, { address }) => address === '192.0.2.2';
  t.same(
    carriedVips(NODE_PORT, context({ publicPorts, isVip }), [])?.map(({ address }) => address),
    ['10.96.0.10', '192.0.2.1'],
  );
});

t.test('with --masquerade-all, clients of ClusterIPs are masqueraded, as with kube-proxy', async (t) => {
  const carriers = { mayCarry: () => true, mayTakeOver: () => false, masqueradesAll: true };
  t.same(
    carriedVips(NODE_PORT, context({ carriers }), [])?.map(({ masquerade }) => masquerade),
    ['always', 'never', 'never'],
  );
});

t.test('nothing is carried where the kernel may not', async (t) => {
  const carriers = { mayCarry: () => false, mayTakeOver: () => false, masqueradesAll: false };
  t.equal(carriedVips(NODE_PORT, context({ carriers }), []), null);
});

t.test('a change of the masquerade is a change, another list with the same members is none', async (t) => {
  const [vip] = PORTAL.vips;
  t.ok(vip);
  if (vip === undefined) return;
  t.ok(areSameCarried([vip], [{ ...vip }]));
  t.ok(areSameCarried(null, null));
  for (const other of [null, [], [{ ...vip, masquerade: 'never' as const }], [{ ...vip, port: 81 }]]) {
    t.notOk(areSameCarried([vip], other));
    t.notOk(areSameCarried(other, [vip]));
  }
});
