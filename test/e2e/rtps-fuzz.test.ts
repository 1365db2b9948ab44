import t, { type Test } from 'tap';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { fuzzRtps, startResponder } from './rtps-fuzz.js';

t.setTimeout(0);

const VIP = '10.96.0.30';
const DISCOVERY = { name: 'discovery', protocol: 'UDP', port: 7410 } as const;
const MEGABYTE = 1 << 20;

interface Fuzzing {
  readonly annotations: Readonly<Record<string, string>>;
  readonly count: number;
}

/** Sends mutated messages: a share of them fills the tables, and the rest must change nothing. */
async function fuzz(t: Test, { annotations, count }: Fuzzing): Promise<void> {
  const lab = await Lab.forTest(t, { pods: ['client', 'a', 'b'] });
  const pods = [lab.pod('a'), lab.pod('b')];
  for (const [index, pod] of pods.entries()) {
    await startResponder(pod, DISCOVERY.port, `${index}`.padStart(24, 'a'));
  }
  const robot = { name: 'robot', clusterIPs: [VIP], ports: [DISCOVERY], affinity: true, annotations };
  const objects = serviceWithPods(robot, pods);
  const limits = { descriptorLimit: 4000, flags: ['--max-pins', '4000'] };
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, ...limits });
  const send = (share: number, seed: number) =>
    fuzzRtps(lab.pod('client'), { address: VIP, port: DISCOVERY.port, count: count * share, seed });

  const first = await send(0.3, 1);
  const before = kubePortal.rss();
  const second = await send(0.7, 2);
  const grown = (kubePortal.rss() - before) / MEGABYTE;
  t.same([first.lost, second.lost], [0, 0], 'the honest participant loses nothing');
  t.ok(grown < 16, `memory grew by ${grown.toFixed(1)} MiB`);
  t.equal(await kubePortal.healthz(), 200);
  const honest = (await kubePortal.participants()).find(({ prefix }) => prefix === second.prefix);
  t.match(honest, { name: 'honest', datagrams: first.honest + second.honest });
}

t.test('a million mutated RTPS messages where the destination decides', (t) =>
  fuzz(t, { annotations: { 'rtps-routing': 'follow' }, count: 1_000_000 }),
);

t.test('mutated RTPS messages from a few pinned clients', (t) =>
  fuzz(t, { annotations: { 'rtps-routing': 'pin' }, count: 100_000 }),
);

t.test('mutated RTPS messages where each prefix has a flow and a pin of its own', (t) =>
  fuzz(t, { annotations: { 'affinity-key': 'rtps-participant' }, count: 100_000 }),
);
