import t from 'tap';
import { DDS_PORTS, startDdsClient, startDdsServer, waitForPings } from '../lab/ddsperf.js';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';

const VIP = '10.96.0.30';
const REPLICAS = ['a', 'b', 'c'] as const;
const ROBOT = {
  name: 'robot',
  clusterIPs: [VIP],
  affinity: true,
  ports: [
    { name: 'discovery', protocol: 'UDP', port: DDS_PORTS.discovery },
    { name: 'data', protocol: 'UDP', port: DDS_PORTS.data },
  ],
} as const;

/** Answers pings as a participant that says it lives at the VIP. */
function startPong(pod: Host): Program {
  return startDdsServer(pod, ['pong'], VIP);
}

/** A hundred pings a second, and a line with their round trip times every second. */
function startPing(client: Host): Program {
  return startDdsClient(client, ['ping', '100Hz'], VIP);
}

/** Counts the datagrams for discovery and for data that arrive in a pod. */
async function countDatagrams(pod: Host): Promise<void> {
  for (const port of [DDS_PORTS.discovery, DDS_PORTS.data]) {
    await pod.must('iptables', ['-A', 'INPUT', '-p', 'udp', '--dport', `${port}`, '-j', 'ACCEPT']);
  }
}

interface Met {
  readonly discovery: number;
  readonly data: number;
}

async function metBy(pod: Host): Promise<Met> {
  const list = await pod.must('iptables', ['-L', 'INPUT', '-v', '-n', '-x']);
  const countOf = (port: number) => Number(new RegExp(`^\\s*(\\d+) .*dpt:${port}$`, 'm').exec(list)?.[1]);
  return { discovery: countOf(DDS_PORTS.discovery), data: countOf(DDS_PORTS.data) };
}

/** The participants that it has found and lost, itself left out. */
function peersOf(ping: Program): string[] {
  return [...ping.stdout.matchAll(/participant \S+: (new|gone)$/gm)].map(([, event = '']) => event);
}

t.setTimeout(0);

t.test('a DDS link works through a ClusterIP with three replicas', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['first', 'second', ...REPLICAS] });
  const pods = REPLICAS.map((name) => lab.pod(name));
  await Promise.all(pods.map(countDatagrams));
  const pongs = new Map(pods.map((pod) => [pod, startPong(pod)]));
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects: serviceWithPods(ROBOT, pods) });
  const whoMet = async () => {
    const met = await Promise.all(pods.map(metBy));
    return pods.filter((_, index) => item(met, index).discovery > 0 || item(met, index).data > 0);
  };

  const ping = startPing(lab.pod('first'));
  await waitForPings(ping);
  const met = await whoMet();
  t.equal(met.length, 1, 'one replica meets all of the link');
  const partner = item(met, 0);
  const before = await metBy(partner);
  t.ok(before.discovery > 0 && before.data > 0, 'discovery and data');

  await waitForPings(startPing(lab.pod('second')));
  const busy = await whoMet();
  t.equal(busy.length, 2, 'the next client meets the next replica');

  const unrelated = busy.find((pod) => pod !== partner) as Pod;
  await pongs.get(unrelated)?.stop('SIGKILL');
  await waitForPings(ping);
  kubePortal.setManifest(
    serviceWithPods(
      ROBOT,
      pods.filter((pod) => pod !== unrelated),
    ),
  );
  await kubePortal.until(async () => (await endpoints(kubePortal)) === 2, 'the replica is gone');
  await waitForPings(ping);
  startPong(unrelated);
  kubePortal.setManifest(serviceWithPods(ROBOT, pods));
  await kubePortal.until(async () => (await endpoints(kubePortal)) === 3, 'the replica is back');
  await waitForPings(ping);

  t.same(peersOf(ping), ['new'], 'the link saw nothing of the restart');
  const after = await metBy(partner);
  t.ok(after.discovery >= before.discovery && after.data > before.data, 'it goes on with the same replica');
  t.equal(await ping.stop(), 0);
});

async function endpoints(kubePortal: KubePortal): Promise<number> {
  return item((await kubePortal.status()).portals, 0).endpoints.length;
}
