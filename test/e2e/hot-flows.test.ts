import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { type ServiceOptions, serviceWithPods } from '../lab/manifest.js';
import type { PodLink } from '../lab/podlink.js';
import { VIP, VIP6 } from './relay.js';
import { askFromOneSocket } from './sharedsocket.js';
import { UdpBursts } from './udp-bursts.js';
import { type FlowRecord, UdpRecorder } from './udp-recorder.js';

t.setTimeout(0);

const DISCOVERY = 7410;
const DATA = 7411;
const FLOWS = 4;
const POLL_MS = 50;
/** More than makes a flow hot, sent without a pause. */
const BURST = 100;
const NAMES = ['a', 'b'] as const;
/** A Service whose datagrams workers read until a flow is hot. */
const ROBOT: ServiceOptions = {
  name: 'robot',
  clusterIPs: [VIP, VIP6],
  affinity: true,
  annotations: { 'rtps-routing': 'pin' },
  ports: [
    { name: 'discovery', port: DISCOVERY, protocol: 'UDP' },
    { name: 'data', port: DATA, protocol: 'UDP' },
  ],
};
const FLAGS = ['--redirect=iptables', '--carrier=auto', '--workers=2'];

class Stage {
  /** How many datagrams each flow has sent. */
  sent = 0;

  private constructor(
    readonly lab: Lab,
    readonly kubePortal: KubePortal,
    readonly pods: readonly Pod[],
    readonly recorders: readonly UdpRecorder[],
    readonly bursts: UdpBursts,
  ) {}

  /** Recorders behind a VIP, and flows that have not begun. */
  static async forTest(
    t: Test,
    address: string,
    { mode = 'answers', link }: { readonly mode?: 'answers' | 'silent'; readonly link?: PodLink } = {},
  ): Promise<Stage> {
    const lab = await Lab.forTest(t, { pods: ['client', ...NAMES], ...(link && { link }) });
    const pods = NAMES.map((name) => lab.pod(name));
    const recorders = await Promise.all(pods.map((pod) => UdpRecorder.start(pod, DATA, mode)));
    const kubePortal = await KubePortal.forTest(t, lab.node, {
      objects: serviceWithPods(ROBOT, pods),
      flags: FLAGS,
    });
    const options = { address, port: DATA, flows: FLOWS, datagrams: BURST };
    return new Stage(lab, kubePortal, pods, recorders, await UdpBursts.start(lab.pod('client'), options));
  }

  /** A burst of all flows. Resolves once all of it has come: a busy CPU would drop the next one. */
  async burst(): Promise<void> {
    await this.bursts.burst();
    this.sent += BURST;
    await this.records();
  }

  /** Makes all flows hot. @returns which recorder has them, and which one has none */
  async getHot(): Promise<{ readonly home: number; readonly other: number }> {
    await this.untilCarried();
    const home = (await this.records()).findIndex((flows) => flows.length === FLOWS);
    return { home, other: 1 - home };
  }

  /** By recorder: the flows that it has seen, once all recorders together have all datagrams. */
  async records(): Promise<FlowRecord[][]> {
    for (;;) {
      const records = await Promise.all(this.recorders.map((recorder) => recorder.records()));
      const count = records.flat().reduce((sum, { numbers }) => sum + numbers.length, 0);
      if (count >= FLOWS * this.sent) return records;
      await sleep(POLL_MS);
    }
  }

  /** Each datagram of each flow has come once. */
  mustBeWhole(t: Test, records: readonly FlowRecord[][]): void {
    for (let flow = 0; flow < FLOWS; flow++) {
      const numbers = records.flat().flatMap((record) => (record.flow === flow ? record.numbers : []));
      const wanted = Array.from({ length: this.sent }, (_, number) => number);
      t.equal(numbers.sort((a, b) => a - b).join(), wanted.join(), `flow ${flow}`);
    }
  }

  /** Sends until the kernel carries all flows: one that has left an endpoint waits for late answers first. */
  async untilCarried(send: () => Promise<unknown> = () => this.burst()): Promise<void> {
    await this.kubePortal.until(async () => {
      await send();
      return (await carried(this.kubePortal)) === FLOWS;
    }, 'all flows are carried');
  }
}

/** How many flows the kernel carries. */
async function carried(kubePortal: KubePortal): Promise<number> {
  const { sessions } = await kubePortal.sessions();
  return sessions.filter(({ carrier }) => carrier === 'kernel').length;
}

for (const [address, link, mode] of [
  [VIP, 'neighbour', 'answers'],
  [VIP, 'point to point', 'silent'],
  [VIP6, 'point to point', 'answers'],
] as const) {
  t.test(`the kernel takes over in mid-flow, ${address}, ${link}, ${mode}`, async (t) => {
    const stage = await Stage.forTest(t, address, { mode, link });
    await stage.untilCarried();
    for (let more = 0; more < 9; more++) await stage.burst();
    const records = await stage.records();
    stage.mustBeWhole(t, records);
    for (const { clients } of records.flat()) t.equal(clients.length, 1, `${clients}`);
    const { portals } = await stage.kubePortal.status();
    t.match(portals, [
      { carrier: 'relay' },
      { carrier: 'relay' },
      { carrier: 'relay' },
      { carrier: 'relay' },
    ]);
    if (mode === 'silent') return;
    const all = FLOWS * stage.sent;
    await stage.kubePortal.until(async () => (await stage.bursts.answers()).answers >= all, 'all answers');
    t.same(await stage.bursts.answers(), { answers: all, doubled: 0 });
  });
}

for (const address of [VIP, VIP6]) {
  t.test(`hot flows go to another endpoint when theirs leaves the Service, ${address}`, async (t) => {
    const stage = await Stage.forTest(t, address);
    const { home, other } = await stage.getHot();
    stage.kubePortal.setManifest(serviceWithPods(ROBOT, [item(stage.pods, other)]));
    await stage.kubePortal.until(async () => {
      await stage.burst();
      return item(await stage.records(), other).length === FLOWS;
    }, 'the other endpoint has all flows');
    await stage.untilCarried();
    const records = await stage.records();
    stage.mustBeWhole(t, records);
    for (const { clients } of records.flat()) t.equal(clients.length, 1, `${clients}`);
    const left = item(records, home);
    await stage.burst();
    t.same(item(await stage.records(), home), left, 'nothing comes to the one that has left');
  });

  t.test(`hot flows go to another endpoint when theirs dies, ${address}`, async (t) => {
    const stage = await Stage.forTest(t, address);
    const { home, other } = await stage.getHot();
    await item(stage.recorders, home).program.stop('SIGKILL');
    const living = item(stage.recorders, other);
    await stage.kubePortal.until(async () => {
      await stage.bursts.single();
      return (await living.records()).length === FLOWS;
    }, 'the other endpoint has all flows');
    const records = await living.records();
    t.ok(
      records.some(({ numbers }) => numbers[0] === stage.sent),
      'a datagram that was refused is sent again',
    );
    await stage.untilCarried(() => stage.bursts.burst());
  });

  t.test(`hot flows live on while no process runs, and when it comes again, ${address}`, async (t) => {
    const stage = await Stage.forTest(t, address);
    await stage.getHot();
    const clientsOf = (records: readonly FlowRecord[][]) =>
      records.map((flows) => flows.map(({ clients }) => clients));
    const before = clientsOf(await stage.records());
    await stage.kubePortal.kill9();
    await stage.burst();
    t.same(clientsOf(await stage.records()), before, 'the endpoints see the same senders');
    await stage.kubePortal.startAgain();
    await stage.untilCarried();
    stage.mustBeWhole(t, await stage.records());
  });
}

t.test('participants that share a socket keep their own replicas', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', ...NAMES] });
  const pods = NAMES.map((name) => lab.pod(name));
  for (const pod of pods) await startBackend(pod, { udp: { [DISCOVERY]: 'name', [DATA]: 'name' } });
  const service = { ...ROBOT, annotations: { 'affinity-key': 'rtps-participant' } };
  const objects = serviceWithPods(service, pods);
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags: FLAGS });
  const [one, two] = ['participant1', 'participant2'].map(
    (prefix) => `RTPS\x02\x05\x01\x10${prefix}\x0e\x01\x0c\x00`,
  ) as [string, string];
  const question = (text: string, port: number, times = 1) => ({ address: VIP, port, text, times });
  const ask = (questions: Parameters<typeof askFromOneSocket>[1]) =>
    askFromOneSocket(lab.pod('client'), questions);
  const [first, second] = await ask([question(one, DISCOVERY), question(two, DISCOVERY)]);
  t.not(first?.join(), second?.join());
  const hot = 1000;
  const answers = await ask([
    question(one, DATA, hot),
    question(two, DISCOVERY),
    question(two, DATA, hot),
    question(one, DATA, hot),
    question(two, DATA),
  ]);
  t.same(answers, [first, second, second, first, second]);
  t.equal(await carried(kubePortal), 0, 'the kernel carries nothing of a shared socket');
  const [alone] = await ask([question(one, DATA, hot)]);
  t.same(alone, first);
  t.equal(await carried(kubePortal), 1);
});
