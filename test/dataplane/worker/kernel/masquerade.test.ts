import '../../../redirect/namespace.js';
import t from 'tap';
import { sourceFor } from '../../../../lib/dataplane/worker/kernel/masquerade.js';
import { KernelNode } from '../../../../lib/dataplane/worker/kernel/node.js';
import { Paths } from '../../../../lib/dataplane/worker/kernel/paths.js';
import { Target } from '../../../../lib/dataplane/worker/target.js';
import type { Masquerade } from '../../../../lib/portal/portal.js';
import { SocketAddress } from '../../../../lib/sys/sockaddr.js';
import { sh } from '../../../redirect/namespace.js';

sh(`
  ip link add kp-bridge type bridge
  ip link set kp-bridge up
  ip addr add 10.244.0.1/24 dev kp-bridge
  ip link add kp-a type veth peer name kp-b
  ip link set kp-a up
  ip link set kp-b up
  ip addr add 192.0.2.1/24 dev kp-a
  ip addr add fd00:2::1/64 dev kp-a nodad
`);
const BRIDGE = Number(sh('ip -o link show kp-bridge | cut -d: -f1'));
const WIRE = Number(sh('ip -o link show kp-a | cut -d: -f1'));
const ELSEWHERE = 1_000_000;

const paths = new Paths(() => 1);
t.teardown(() => paths.close());

interface Situation {
  readonly masquerade?: Masquerade;
  readonly inputDevice?: number;
  readonly clusterCidrs?: readonly string[];
  readonly seesBridged?: boolean;
}

/** The source that an endpoint sees instead of the client. */
function sourceTowards(endpoint: string, client: string, situation: Situation = {}): string | null {
  const { masquerade = 'never', inputDevice = ELSEWHERE, clusterCidrs = [], seesBridged = true } = situation;
  const node = new KernelNode(paths, { clusterCidrs }, () => 1);
  const bridges = { IPv4: seesBridged, IPv6: seesBridged };
  node.forwarding = { IPv4: 'forwards', IPv6: 'forwards', bridges };
  const target = new Target({ id: 'pod', address: endpoint, port: 8080 });
  const route = paths.to(target);
  if (typeof route === 'number') throw new Error(`no route: ${route}`);
  const { words } = SocketAddress.of(client, 40_000).memory;
  return sourceFor(words, 0, masquerade, inputDevice, target, route, node)?.address ?? null;
}

t.test('a client keeps its address unless something is against it', async (t) => {
  t.equal(sourceTowards('10.244.0.2', '198.51.100.1'), null);
  t.equal(sourceTowards('fd00:2::2', '2001:db8::1'), null);
});

t.test("always: the node's address towards the endpoint", async (t) => {
  t.equal(sourceTowards('10.244.0.2', '198.51.100.1', { masquerade: 'always' }), '10.244.0.1');
  t.equal(sourceTowards('192.0.2.2', '198.51.100.1', { masquerade: 'always' }), '192.0.2.1');
  t.equal(sourceTowards('fd00:2::2', '2001:db8::1', { masquerade: 'always' }), 'fd00:2::1');
});

t.test('off-cluster: only clients outside of the CIDRs of their family, if there are any', async (t) => {
  const inCluster = { masquerade: 'off-cluster', clusterCidrs: ['10.244.0.0/16', '10.245.0.0/16'] } as const;
  t.equal(sourceTowards('10.244.0.2', '10.245.9.9', inCluster), null);
  t.equal(sourceTowards('10.244.0.2', '198.51.100.1', inCluster), '10.244.0.1');
  t.equal(sourceTowards('fd00:2::2', '2001:db8::1', inCluster), null, 'no CIDR of the family');
  t.equal(sourceTowards('10.244.0.2', '198.51.100.1', { masquerade: 'off-cluster' }), null);
});

t.test('programs of this node are masqueraded', async (t) => {
  t.equal(sourceTowards('10.244.0.2', '192.0.2.1', { inputDevice: 0 }), '10.244.0.1');
});

t.test('neighbours of the endpoint are, unless netfilter sees what passes between them', async (t) => {
  t.equal(sourceTowards('10.244.0.2', '10.244.0.9', { inputDevice: BRIDGE }), null);
  const unseen = { inputDevice: BRIDGE, seesBridged: false };
  t.equal(sourceTowards('10.244.0.2', '10.244.0.9', unseen), '10.244.0.1');
  t.equal(
    sourceTowards('192.0.2.2', '192.0.2.9', { inputDevice: WIRE }),
    '192.0.2.1',
    'no bridge of this node',
  );
  t.equal(sourceTowards('192.0.2.2', '10.244.0.9', unseen), null, 'another device');
});
