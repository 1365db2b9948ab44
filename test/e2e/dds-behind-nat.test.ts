import t, { type Test } from 'tap';
import { DDS_PORTS, DDS_TCP_PORT, startDdsClient, startDdsServer, waitForPings } from '../lab/ddsperf.js';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { type ServiceOptions, serviceWithPods } from '../lab/manifest.js';

t.setTimeout(0);

const VIP = '10.96.0.30';
const REPLICAS = ['a', 'b'] as const;
const ROBOTS = ['one', 'two', 'three', 'four'] as const;
const ROBOT: ServiceOptions = {
  name: 'robot',
  clusterIPs: [VIP],
  affinity: true,
  ports: [
    { name: 'discovery', protocol: 'UDP', port: DDS_PORTS.discovery },
    { name: 'data', protocol: 'UDP', port: DDS_PORTS.data },
  ],
};

/** Four robots behind the machine outside, which gives all their packets its own address. */
async function fleetBehindNat(t: Test): Promise<{ lab: Lab; robots: readonly Host[] }> {
  const lab = await Lab.forTest(t, { pods: REPLICAS });
  const robots: Host[] = [];
  for (const name of ROBOTS) robots.push(await lab.addRemote(name, 1500));
  await lab.outside.must('iptables', ['-t', 'nat', '-A', 'POSTROUTING', '-o', 'eth0', '-j', 'MASQUERADE']);
  return { lab, robots };
}

/** What somebody sets up at a router: the ports of each robot's participant lead to the robot. */
async function forwardPorts(router: Host, robots: readonly Host[]): Promise<void> {
  for (const [index, { address4 }] of robots.entries()) {
    const first = DDS_PORTS.discovery + 2 * index;
    const match = ['-p', 'udp', '-i', 'eth0', '--dport', `${first}:${first + 1}`];
    const rule = ['-A', 'PREROUTING', ...match, '-j', 'DNAT', '--to-destination', address4];
    await router.must('iptables', ['-t', 'nat', ...rule]);
  }
}

/** Client address and port → hosts of its endpoints, of all that is open. */
async function hostsMet(kubePortal: KubePortal): Promise<Map<string, Set<string>>> {
  const met = new Map<string, Set<string>>();
  for (const { client, endpoint } of (await kubePortal.sessions()).sessions) {
    const host = endpoint?.replace(/:\d+$/, '') ?? '';
    met.set(client, (met.get(client) ?? new Set()).add(host));
  }
  return met;
}

t.test('four robots behind one NAT address, each a participant with one replica', async (t) => {
  const { lab, robots } = await fleetBehindNat(t);
  await forwardPorts(lab.outside, robots);
  const pods = REPLICAS.map((name) => lab.pod(name));
  for (const pod of pods) startDdsServer(pod, ['pong'], VIP);
  const service = { ...ROBOT, annotations: { 'affinity-key': 'rtps-participant' } };
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods(service, pods),
    flags: ['--workers', '2'],
  });
  const announced = lab.outside.address4;
  const pings = robots.map((robot, index) =>
    startDdsClient(robot, ['ping', '20Hz'], VIP, { index, announced }),
  );
  for (const ping of pings) await waitForPings(ping);
  const met = await hostsMet(kubePortal);
  t.equal(met.size, 4, 'one socket of each robot');
  t.ok(
    [...met.values()].every((endpoints) => endpoints.size === 1),
    'discovery and data: one replica',
  );
  const perReplica = pods.map(
    ({ address4 }) => [...met.values()].filter((endpoints) => endpoints.has(address4)).length,
  );
  t.same(perReplica, [2, 2], 'the robots are spread over the replicas');
  for (const ping of pings) {
    t.equal([...ping.stdout.matchAll(/participant \S+: new$/gm)].length, 1, 'each robot has one partner');
  }
  t.equal(item((await kubePortal.status()).portals, 0).affinity?.by, 'rtps-participant');
});

t.test('four robots behind one NAT address over TCP, without affinity', async (t) => {
  const { lab, robots } = await fleetBehindNat(t);
  const pods = REPLICAS.map((name) => lab.pod(name));
  for (const pod of pods) startDdsServer(pod, ['pong'], VIP, { transport: 'tcp' });
  const service = { name: 'robot', clusterIPs: [VIP], ports: [{ port: DDS_TCP_PORT }] };
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects: serviceWithPods(service, pods) });
  const pings = robots.map((robot) => startDdsClient(robot, ['ping', '20Hz'], VIP, { transport: 'tcp' }));
  for (const ping of pings) await waitForPings(ping);
  const met = await hostsMet(kubePortal);
  const perReplica = pods.map(
    ({ address4 }) => [...met.values()].filter((endpoints) => endpoints.has(address4)).length,
  );
  t.same(perReplica, [2, 2], 'nothing leads back through the NAT but the connections of the robots');
});
