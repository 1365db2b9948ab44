import t from 'tap';
import type { AffinityResult, RoundsStage } from '../../lib/affinity/result.js';
import { startBackend } from '../lab/backend.js';
import { startDdsServer } from '../lab/ddsperf.js';
import { KubePortal } from '../lab/kubeportal.js';
import type { Pod } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { writeKubeProxyRules } from './kubeproxyrules.js';
import { CLIENTS, NAMES, PORT_LIST, PORTS, resultOfRun, stageFor, VIP } from './stage.js';

t.setTimeout(0);

const RUN = [VIP, '--ports', PORT_LIST, '--clients', CLIENTS, '--rounds', '5'];
const SERVICE = { name: 'robot', clusterIPs: [VIP], ports: PORTS };

function roundsOf({ stages }: AffinityResult): RoundsStage {
  const [stage] = stages;
  if (stage?.kind !== 'rounds') throw new Error('no rounds');
  return stage;
}

async function hasUdpPort(pod: Pod, port: number): Promise<boolean> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return (await pod.must('cat', ['/proc/net/udp'])).includes(`:${hex} `);
}

for (const redirect of ['iptables', 'address']) {
  t.test(`kube-portal with --redirect ${redirect}: no client is split`, async (t) => {
    const { lab, pods } = await stageFor(t);
    const objects = serviceWithPods({ ...SERVICE, affinity: true }, pods);
    await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect', redirect] });
    const { code, result } = await resultOfRun(lab.node, RUN);
    t.match(result.verdict, { found: 'ClientIP', outcome: 'as expected' });
    t.equal(code, 0);
    t.same(roundsOf(result).split, []);
    t.same(result.backends, NAMES);
    t.equal(result.asked.clients.length, 60);
    t.match(result.asked.ports, [{ identify: 'http' }, { identify: 'echo' }, { identify: 'echo' }]);
  });
}

t.test('kube-portal without affinity: round robin is told from affinity', async (t) => {
  const { lab, pods } = await stageFor(t);
  const objects = serviceWithPods(SERVICE, pods);
  await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect', 'address'] });
  const expected = await resultOfRun(lab.node, [...RUN, '--expect', 'None']);
  t.match(expected.result.verdict, { found: 'None', outcome: 'as expected' });
  t.equal(expected.code, 0);
  const unexpected = await resultOfRun(lab.node, RUN);
  t.match(unexpected.result.verdict, { found: 'None', outcome: 'not as expected' });
  t.equal(unexpected.code, 1);
});

t.test("kube-proxy's rules with affinity: most clients are split over the ports", async (t) => {
  const { lab, pods } = await stageFor(t);
  const addresses = pods.map(({ address4 }) => address4);
  await writeKubeProxyRules(lab.node, { vip: VIP, ports: PORTS, pods: addresses, affinitySeconds: 10_800 });
  const { code, result } = await resultOfRun(lab.node, RUN);
  t.match(result.verdict, { found: 'ClientIP per port', outcome: 'not as expected' });
  t.equal(code, 1);
  // By chance 8 of 9 clients are split. Fewer than half are so once in 10^15 runs.
  t.ok(roundsOf(result).split.length > 30, `${roundsOf(result).split.length} of 60 clients are split`);
  const onePort = await resultOfRun(lab.node, [...RUN.slice(0, 2), '80/tcp', ...RUN.slice(3)]);
  t.match(onePort.result.verdict, { found: 'ClientIP', outcome: 'as expected' }, 'one port alone is sticky');
});

t.test("kube-proxy's rules without affinity", async (t) => {
  const { lab, pods } = await stageFor(t);
  const addresses = pods.map(({ address4 }) => address4);
  await writeKubeProxyRules(lab.node, { vip: VIP, ports: PORTS, pods: addresses, affinitySeconds: null });
  const { code, result } = await resultOfRun(lab.node, [...RUN, '--expect', 'None']);
  t.match(result.verdict, { found: 'None', outcome: 'as expected' });
  t.equal(code, 0);
});

t.test('the affinity of an IPv6 Service', async (t) => {
  const { lab, pods } = await stageFor(t);
  const vip = 'fd00:96::10';
  const objects = serviceWithPods({ ...SERVICE, clusterIPs: [vip], affinity: true }, pods);
  for (const redirect of ['iptables', 'address']) {
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect', redirect] });
    const { code, result } = await resultOfRun(lab.node, [
      ...[vip, '--ports', PORT_LIST, '--clients', 'fd6b:1::/122', '--rounds', '3'],
    ]);
    t.match(result.verdict, { found: 'ClientIP', outcome: 'as expected' }, redirect);
    t.equal(code, 0);
    t.equal(result.asked.clients.length, 63);
    await kubePortal.stop();
  }
});

t.test('a web server and a DDS participant in one pod are one backend', async (t) => {
  const { lab, pods, responders } = await stageFor(t);
  await Promise.all(responders.map((responder) => responder.stop()));
  for (const pod of pods) {
    await startBackend(pod, { tcp: { 80: 'http' } });
    startDdsServer(pod, ['pong'], VIP);
  }
  const objects = serviceWithPods({ ...SERVICE, affinity: true }, pods);
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect', 'iptables'] });
  for (const pod of pods) await kubePortal.until(() => hasUdpPort(pod, 7410), 'the participants listen');
  const { code, result } = await resultOfRun(lab.node, RUN);
  t.match(result.verdict, { found: 'ClientIP', outcome: 'as expected' });
  t.equal(code, 0);
  t.match(result.asked.ports, [{ identify: 'http' }, { identify: 'rtps' }, { identify: 'rtps' }]);
  t.same(result.backends, NAMES);
  t.equal(result.aliases.length, 3);
  for (const { alias } of result.aliases)
    t.match(alias, /^0110[0-9a-f]{20}$/, 'the prefix of a Cyclone participant');
});
