import t from 'tap';
import { DDS_PORTS, startDdsClient, startDdsServer } from '../lab/ddsperf.js';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';
import { hearsOthers } from './dds-hearing.js';

const VIP = '10.96.0.41';
const REPLICAS = ['a', 'b', 'c'] as const;
const ROBOT = {
  name: 'robot',
  clusterIPs: [VIP],
  annotations: { 'rtps-routing': 'follow' },
  ports: [
    { name: 'discovery', protocol: 'UDP', port: DDS_PORTS.discovery },
    { name: 'data', protocol: 'UDP', port: DDS_PORTS.data },
  ],
} as const;
const RATE = 10;
/** Cyclone DDS' lines about a participant that comes, and about one that says that it goes: its GUID. */
const CAME = /SPDP ST0 ([0-9a-f:]+) .*entity_name="kube-portal"/g;
const WENT = /SPDP ST3 ([0-9a-f]+:[0-9a-f]+:[0-9a-f]+:[0-9a-f]+?)ddsi_delete_proxy_participant_by_guid/g;

const MODES = ['-1', 'pub', `${RATE}Hz`, 'sub'] as const;

/** A participant that says it lives at the VIP. */
function startReplica(pod: Host): Program {
  return startDdsServer(pod, MODES, VIP);
}

async function copiesOf(kubePortal: KubePortal): Promise<{ received: number; copies: number }> {
  const { counters } = await kubePortal.status();
  const sum = (field: 'datagramsIn' | 'copiesSent') =>
    counters.reduce((total, counter) => total + counter[field], 0);
  return { received: sum('datagramsIn'), copies: sum('copiesSent') };
}

t.setTimeout(0);

t.test('a client reaches each of three participants behind one VIP', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', ...REPLICAS] });
  const pods = REPLICAS.map((name) => lab.pod(name));
  const replicas = pods.map(startReplica);
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods(ROBOT, pods),
    flags: ['--workers', '2'],
  });
  const client = startDdsClient(lab.pod('client'), MODES, VIP);
  t.ok((await hearsOthers(client, 3, RATE)) >= 0.95, 'the client hears the three');
  for (const share of await Promise.all(replicas.map((replica) => hearsOthers(replica, 1, RATE)))) {
    t.ok(share >= 0.95, `a replica hears ${share * 100} % of the client's samples`);
  }
  const { received, copies } = await copiesOf(kubePortal);
  t.comment(`${received} datagrams, ${copies} copies`);
  t.ok(received > 100);
  t.ok(copies < 0.8 * REPLICAS.length * received, `${copies} copies of ${received}, fewer than by fan-out`);

  await item(replicas, 0).stop('SIGKILL');
  const again = startReplica(item(pods, 0));
  t.ok((await hearsOthers(again, 1, RATE)) >= 0.95, 'a replica that starts again is another participant');
  t.ok((await hearsOthers(client, 3, RATE)) >= 0.95, 'the client hears the three again');
});

t.test('the participant that asks the replicas who they are does not stay there', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', ...REPLICAS] });
  const pods = REPLICAS.map((name) => lab.pod(name));
  const replicas = pods.map((pod) => startDdsServer(pod, MODES, VIP, { isTraced: true }));
  await KubePortal.forTest(t, lab.node, { objects: serviceWithPods(ROBOT, pods) });
  startDdsClient(lab.pod('client'), MODES, VIP);
  for (const replica of replicas) {
    const guids = (pattern: RegExp) => Array.from(replica.stdout.matchAll(pattern), ([, guid]) => guid);
    await replica.waitFor(() => (guids(CAME).length > 0 ? true : null), 'the question');
    const isOver = () => guids(CAME).every((guid) => guids(WENT).includes(guid));
    await replica.waitFor(() => (isOver() ? true : null), 'the farewell');
    t.pass('each that came has gone');
    await replica.stop('SIGKILL');
  }
});
