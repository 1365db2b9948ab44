import '../../../redirect/namespace.js';
import t from 'tap';
import type { Forwarding, ForwardingState } from '../../../../lib/dataplane/shared/carrier.js';
import type { CarriedPortal } from '../../../../lib/dataplane/worker/kernel/carriedportal.js';
import { KernelNode } from '../../../../lib/dataplane/worker/kernel/node.js';
import { Paths, reachOf } from '../../../../lib/dataplane/worker/kernel/paths.js';
import type { ServedPortal } from '../../../../lib/dataplane/worker/servedportal.js';
import type { Family } from '../../../../lib/net/address.js';
import { SocketAddress } from '../../../../lib/sys/sockaddr.js';
import { sh } from '../../../redirect/namespace.js';
import { servedPortal } from '../fixtures.js';

sh(`
  ip link add kp-a type veth peer name kp-b
  ip link set kp-a up
  ip link set kp-b up
  ip addr add 10.244.0.1/24 dev kp-a
  ip addr add fd00:244::1/64 dev kp-a nodad
`);

let now = 1;
const paths = new Paths(() => now);
t.teardown(() => paths.close());

function node(state: ForwardingState): KernelNode {
  const node = new KernelNode(paths, { clusterCidrs: [] }, () => now);
  node.forwarding = forwarding(state);
  return node;
}

function forwarding(state: ForwardingState): Forwarding {
  return { IPv4: state, IPv6: state, bridges: { IPv4: true, IPv6: true } };
}

function portalTo(addresses: readonly string[], family: Family = 'IPv4'): ServedPortal {
  return servedPortal({
    family,
    endpoints: addresses.map((address) => ({ id: address, address, port: 8080 })),
    carriage: { vips: [], isHome: true },
  });
}

function mayCarry({ carried }: ServedPortal, client: string, node: KernelNode): boolean {
  return (carried as CarriedPortal).mayCarry(SocketAddress.of(client, 40_000).memory.words, 0, node);
}

t.test('the kernel carries to pods where the node forwards, and to its own addresses anywhere', async (t) => {
  for (const [family, client, own, pod] of [
    ['IPv4', '10.244.0.9', '10.244.0.1', '10.244.0.2'],
    ['IPv6', 'fd00:244::9', 'fd00:244::1', 'fd00:244::2'],
  ] as const) {
    const toPods = portalTo([own, pod], family);
    const toNode = portalTo([own], family);
    const changing = node('forwards');
    for (const state of ['forwards', 'doubtful', 'off'] as const) {
      changing.forwarding = forwarding(state);
      t.equal(mayCarry(toPods, client, changing), state !== 'off', `${family}, ${state}: the pod decides`);
      t.ok(mayCarry(toNode, client, changing), `${family}, ${state}`);
    }
  }
});

t.test('a portal without endpoints, or with a loopback endpoint, is relayed', async (t) => {
  t.notOk(mayCarry(portalTo([]), '10.244.0.9', node('forwards')));
  t.notOk(mayCarry(portalTo(['10.244.0.2', '127.0.0.1']), '10.244.0.9', node('forwards')));
  t.notOk(mayCarry(portalTo(['::1'], 'IPv6'), 'fd00:244::9', node('forwards')));
});

t.test('clients that are endpoints, or have an address of one host only, are relayed', async (t) => {
  const four = portalTo(['10.244.0.2', '10.244.0.3']);
  t.notOk(mayCarry(four, '10.244.0.3', node('forwards')), 'hairpin');
  t.notOk(mayCarry(four, '127.0.0.1', node('forwards')));
  const six = portalTo(['fd00:244::2'], 'IPv6');
  for (const client of ['fd00:244::2', '::1', 'fe80::1', 'febf::1']) {
    t.notOk(mayCarry(six, client, node('forwards')), client);
  }
  for (const client of ['::2', 'fec0::1', 'fd00:244::9'])
    t.ok(mayCarry(six, client, node('forwards')), client);
});

t.test('new endpoints are looked at, and a failed one for ten minutes', async (t) => {
  const portal = portalTo(['10.244.0.2']);
  const steady = node('doubtful');
  t.ok(mayCarry(portal, '10.244.0.9', steady));
  const [target] = portal.balancer.rotation.targets;
  reachOf(target!).fail(now);
  steady.version++;
  t.notOk(mayCarry(portal, '10.244.0.9', steady));
  now += 600_001;
  t.ok(mayCarry(portal, '10.244.0.9', steady), 'later it is tried again');
});

t.test('a pause holds for all portals, and for a second', async (t) => {
  const portal = portalTo(['10.244.0.2']);
  const paused = node('forwards');
  t.ok(mayCarry(portal, '10.244.0.9', paused));
  paused.pause();
  t.notOk(mayCarry(portal, '10.244.0.9', paused));
  now += 1000;
  t.ok(mayCarry(portal, '10.244.0.9', paused));
});
