import t, { type Test } from 'tap';
import { askUdp } from '../lab/client.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { VIP, VIP6 } from './relay.js';
import { UdpBursts } from './udp-bursts.js';
import { UdpRecorder } from './udp-recorder.js';

/** Rules in the chain FORWARD alone, by which an engine of NetworkPolicies keeps pods from each other. */
t.setTimeout(0);

const PORT = 53;
const FLOWS = 50;
const DATAGRAMS = 4;

async function stageFor(t: Test, iptables: 'nft' | 'legacy') {
  const pods = ['server', 'guest', 'stranger'];
  const lab = await Lab.forTest(t, { pods, link: 'point to point', iptables });
  const [server, guest, stranger] = pods.map((name) => lab.pod(name)) as [Pod, Pod, Pod];
  const recorder = await UdpRecorder.start(server, PORT, 'answers');
  const objects = serviceWithPods(
    { name: 'web', clusterIPs: [VIP, VIP6], ports: [{ port: PORT, protocol: 'UDP' }] },
    [server],
  );
  const flags = ['--redirect=iptables', '--carrier=kernel', '--workers=1'];
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
  return { lab, kubePortal, recorder, server, guest, stranger };
}

type Stage = Awaited<ReturnType<typeof stageFor>>;

/** As an engine does: what is open goes on, a new flow of the stranger does not begin. */
async function forbid({ lab, stranger, server }: Stage, iptables: string): Promise<void> {
  for (const [program, from, to] of [
    ['iptables', stranger.address4, server.address4],
    ['ip6tables', stranger.address6, server.address6],
  ] as const) {
    const add = (...rule: string[]) =>
      lab.node.must(`${program}-${iptables}`, ['-w', '10', '-A', 'FORWARD', ...rule]);
    await add('-m', 'conntrack', '--ctstate', 'ESTABLISHED,RELATED', '-j', 'ACCEPT');
    await add('-s', from, '-d', to, '-j', 'DROP');
  }
}

/** Sends bursts of new flows to the VIP of a family, all from one pod. */
async function send(pod: Pod, address: string): Promise<void> {
  const options = { address, port: PORT, flows: FLOWS, datagrams: DATAGRAMS };
  await (await UdpBursts.start(pod, options)).burst();
}

/** The addresses from which datagrams have come, once there are so many datagrams. */
async function sendersOf({ kubePortal, recorder }: Stage, datagrams: number): Promise<Set<string>> {
  let records = await recorder.records();
  await kubePortal.until(async () => {
    records = await recorder.records();
    return records.reduce((sum, { numbers }) => sum + numbers.length, 0) >= datagrams;
  }, `${datagrams} datagrams have come`);
  return new Set(records.flatMap(({ clients }) => clients.map((client) => client.split(' ')[0] as string)));
}

for (const iptables of ['nft', 'legacy'] as const) {
  t.test(`${iptables}: a pod that may not gets no datagram through, not even a first one`, async (t) => {
    const stage = await stageFor(t, iptables);
    await forbid(stage, iptables);
    const { guest, stranger } = stage;
    for (const [index, address] of [VIP, VIP6].entries()) {
      await send(stranger, address);
      await send(guest, address);
      const senders = await sendersOf(stage, (index + 1) * FLOWS * DATAGRAMS);
      t.same([...senders], [guest.address4, guest.address6].slice(0, index + 1));
      const answer = await askUdp(stranger, { address, port: PORT, patienceMs: 200 });
      t.match(answer, [{ answers: ['silence'] }]);
    }
    const { counters } = await stage.kubePortal.status();
    t.ok(
      counters.every(({ connectFailures }) => connectFailures === 0),
      'nobody blames the endpoint',
    );
  });
}
