import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { askUdp } from '../lab/client.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { patternDigest } from '../lab/pattern.js';
import { count } from '../lab/tally.js';
import { VIP, VIP6 } from './relay.js';
import { UdpBursts } from './udp-bursts.js';
import { type FlowRecord, UdpRecorder } from './udp-recorder.js';

t.setTimeout(0);

const PORT = 53;
const FLOWS = 300;
const DATAGRAMS = 20;
const NAMES = ['a', 'b', 'c'];

/** Recorders behind a VIP of each family that the kernel carries. */
async function stageFor(t: Tap, mode: 'answers' | 'silent') {
  const lab = await Lab.forTest(t, { pods: ['client', ...NAMES], link: 'point to point' });
  const pods = NAMES.map((name) => lab.pod(name));
  const recorders = await Promise.all(pods.map((pod) => UdpRecorder.start(pod, PORT, mode)));
  const objects = serviceWithPods(
    { name: 'web', clusterIPs: [VIP, VIP6], ports: [{ port: PORT, protocol: 'UDP' }] },
    pods,
  );
  const flags = ['--redirect=iptables', '--carrier=kernel', '--workers=1'];
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
  return { lab, kubePortal, recorders, client: lab.pod('client') };
}

/** By recorder: the flows that it has seen, once all recorders together have so many datagrams. */
async function recordsOf(kubePortal: KubePortal, recorders: readonly UdpRecorder[], datagrams: number) {
  let records: FlowRecord[][] = [];
  await kubePortal.until(async () => {
    records = await Promise.all(recorders.map((recorder) => recorder.records()));
    return records.flat().reduce((sum, { numbers }) => sum + numbers.length, 0) >= datagrams;
  }, `all of ${datagrams} datagrams have come`);
  return records;
}

const addressOf = ({ address4, address6 }: Pod, vip: string) => (vip === VIP ? address4 : address6);
const inOrder = Array.from({ length: DATAGRAMS }, (_, number) => number);

for (const address of [VIP, VIP6]) {
  for (const mode of ['answers', 'silent'] as const) {
    t.test(`bursts of new flows: none is lost, none is doubled, ${mode}, ${address}`, async (t) => {
      const { kubePortal, recorders, client } = await stageFor(t, mode);
      const bursts = await UdpBursts.start(client, {
        address,
        port: PORT,
        flows: FLOWS,
        datagrams: DATAGRAMS,
      });
      await bursts.burst();
      const records = await recordsOf(kubePortal, recorders, FLOWS * DATAGRAMS);
      t.same(
        records.map((flows) => flows.length),
        [100, 100, 100],
        'in exact turns',
      );
      const wrong = records
        .flat()
        .filter(({ numbers }) => [...numbers].sort(ascending).join() !== inOrder.join());
      t.same(wrong, [], 'each datagram of each flow, once');
      const clients = records.flat().map(({ clients }) => item(clients, 0).split(' ')[0]);
      t.same(count(clients as string[]), { [addressOf(client, address)]: FLOWS }, 'from the client itself');
      t.ok(records.flat().every(({ clients }) => clients.length === 1));
    });
  }

  t.test(`datagrams that wait for the worker keep their order, ${address}`, async (t) => {
    const { lab, kubePortal, recorders, client } = await stageFor(t, 'silent');
    const { pid } = kubePortal.program;
    const bursts = await UdpBursts.start(client, { address, port: PORT, flows: 60, datagrams: DATAGRAMS });
    await lab.node.must('kill', ['-STOP', `${pid}`]);
    await bursts.burst();
    await lab.node.must('kill', ['-CONT', `${pid}`]);
    const records = await recordsOf(kubePortal, recorders, 60 * DATAGRAMS);
    const wrong = records.flat().filter(({ numbers }) => numbers.join() !== inOrder.join());
    t.same(wrong, []);
    const before = records.flat().length;
    await bursts.burst();
    const after = await recordsOf(kubePortal, recorders, 2 * 60 * DATAGRAMS);
    t.equal(after.flat().length, before, 'and the kernel goes on with the flows');
    const { counters } = await kubePortal.status();
    t.equal(
      counters.reduce((sum, { flowsTotal }) => sum + flowsTotal, 0),
      60,
    );
  });
}

/** How many datagrams the queue of the only worker has had, and those that it had no room for. */
async function queued({ node }: Lab): Promise<number> {
  const rows = (await node.must('cat', ['/proc/net/netfilter/nfnetlink_queue'])).split('\n');
  const row = rows.map((line) => line.trim().split(/ +/)).find(([number]) => number === '20488');
  return Number(row?.[7]);
}

for (const address of [VIP, VIP6]) {
  t.test(`of a flow without answers, one datagram comes to the worker, ${address}`, async (t) => {
    const { lab, kubePortal, recorders, client } = await stageFor(t, 'silent');
    const bursts = await UdpBursts.start(client, { address, port: PORT, flows: 30, datagrams: 1 });
    await bursts.burst();
    await recordsOf(kubePortal, recorders, 30);
    for (let round = 2; round <= 5; round++) await bursts.burst();
    await recordsOf(kubePortal, recorders, 5 * 30);
    t.equal(await queued(lab), 30);
  });

  t.test(`the longest datagrams arrive whole, ${address}`, async (t) => {
    const lab = await Lab.forTest(t, { pods: ['client', 'a'], link: 'point to point' });
    await startBackend(lab.pod('a'), { udp: { [PORT]: 'echo' } });
    const ports = [{ port: PORT, protocol: 'UDP' }] as const;
    const objects = serviceWithPods({ name: 'web', clusterIPs: [VIP, VIP6], ports }, [lab.pod('a')]);
    const flags = ['--redirect=iptables', '--carrier=kernel', '--workers=1'];
    await KubePortal.forTest(t, lab.node, { objects, flags });
    // Longer ones than the queue receives, from 65,532 bytes of packet on, are relayed.
    for (const bytes of [1, 1472, 1473, 9000, 65_000, 65_507]) {
      const [reply] = await askUdp(lab.pod('client'), { address, port: PORT, bytes, times: 2 });
      const whole = `${bytes}:${patternDigest(bytes)}`;
      t.same(reply?.answers, [whole, whole]);
    }
    const family = address === VIP ? 'ipv4' : 'ipv6';
    const own = ['-L', '-f', family, '-p', 'udp', '--mark', '0x40000000/0x40000000'];
    t.equal((await lab.node.must('conntrack', own)).match(/^udp /gm)?.length, 5);
  });
}

t.test('flows live on after the program was killed, and when it comes again', async (t) => {
  const { kubePortal, recorders, client } = await stageFor(t, 'answers');
  const flows = 2000;
  const bursts = await UdpBursts.start(client, { address: VIP, port: PORT, flows, datagrams: 1 });
  await bursts.burst();
  const before = await recordsOf(kubePortal, recorders, flows);
  await kubePortal.kill9();
  await bursts.burst();
  await kubePortal.startAgain();
  await bursts.burst();
  const after = await recordsOf(kubePortal, recorders, 3 * flows);
  const clientsOf = (records: readonly FlowRecord[][]) =>
    records.map((known) => known.map(({ flow, clients }) => `${flow} ${clients}`));
  t.same(clientsOf(after), clientsOf(before), 'each at its endpoint, from its port');
  const { counters } = await kubePortal.status();
  t.equal(
    counters.reduce((sum, { flowsTotal }) => sum + flowsTotal, 0),
    0,
    'none is a new flow',
  );
});

function ascending(a: number, b: number): number {
  return a - b;
}

type Tap = Parameters<typeof Lab.forTest>[0];
