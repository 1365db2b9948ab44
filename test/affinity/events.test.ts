import t from 'tap';
import type { AffinityResult, EventStage } from '../../lib/affinity/result.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { serviceWithPods } from '../lab/manifest.js';
import { writeKubeProxyRules } from './kubeproxyrules.js';
import { CLIENTS, PORT_LIST, PORTS, resultOfRun, runTester, stageFor, VIP } from './stage.js';

t.setTimeout(0);

const SERVICE = { name: 'robot', clusterIPs: [VIP], ports: PORTS };
const RUN = [VIP, '--ports', PORT_LIST, '--clients', CLIENTS, '--rounds', '3', '--settle', '2s'];

function eventOf({ stages }: AffinityResult): EventStage {
  const stage = stages.find(({ kind }) => kind === 'event');
  if (stage?.kind !== 'event') throw new Error('no event');
  return stage;
}

/** Clients whose last answer in the first stage came from a backend. */
function clientsOf({ links }: AffinityResult, backend: string): string[] {
  const own = links.filter(({ runs }) => runs[0]?.backend === backend);
  return [...new Set(own.map(({ client }) => client))];
}

t.test('a pod that dies: its clients move, all others stay, and each link has its gap', async (t) => {
  const { lab, pods, responders } = await stageFor(t);
  const objects = serviceWithPods({ ...SERVICE, affinity: true }, pods);
  await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect', 'iptables'] });
  const command = `echo killing; kill -9 ${item(responders, 1).pid}`;
  const { code, result } = await resultOfRun(lab.node, [...RUN, '--during', command]);
  const event = eventOf(result);
  t.match(event, { command, exitCode: 0, intervalMs: 100 });
  t.ok(event.startMs < event.commandStartMs && event.commandStartMs < event.commandEndMs);
  t.equal(event.gaps.length, 180);
  t.same(
    event.gaps.filter(({ ended }) => !ended),
    [],
    'every link is answered again',
  );
  const victims = clientsOf(result, 'web-1');
  t.ok(victims.length > 0);
  t.same([...new Set(result.moves.map(({ client }) => client))].sort(), victims.sort());
  t.equal(result.moves.length, 3 * victims.length, 'each of their links moved once');
  t.same(
    result.moves.filter(({ fromAnswersLater }) => fromAnswersLater),
    [],
    'none of them without need',
  );
  t.match(result.verdict, { found: 'ClientIP', outcome: 'as expected' });
  t.equal(code, 0);
});

t.test("kube-proxy's rules keep clients with a pod that is gone, and the links say so", async (t) => {
  const { lab, pods, responders } = await stageFor(t);
  const addresses = pods.map(({ address4 }) => address4);
  await writeKubeProxyRules(lab.node, { vip: VIP, ports: PORTS, pods: addresses, affinitySeconds: 10_800 });
  const { code, result } = await resultOfRun(lab.node, [
    ...[...RUN, '--patience', '500ms'],
    ...['--during', `kill -9 ${item(responders, 1).pid}`],
  ]);
  const lost = eventOf(result).gaps.filter(({ ended }) => !ended);
  t.ok(lost.length > 0, `${lost.length} of 180 links are never answered again`);
  t.ok(lost.every(({ unanswered }) => unanswered > 0));
  t.equal(code, 1);
});

t.test('a command that fails is told, and what it prints is not in the result', async (t) => {
  const { lab, pods } = await stageFor(t);
  await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods({ ...SERVICE, affinity: true }, pods),
    flags: ['--redirect', 'address'],
  });
  const run = [...RUN, '--during', 'echo one; exit 7', '--during', 'echo two; kill $$', '-o', 'json'];
  const { stdout, stderr } = await runTester(lab.node, run);
  t.match(stderr, /^one$/m);
  t.match(stderr, /^two$/m);
  const { stages } = JSON.parse(stdout) as AffinityResult;
  t.same(
    stages.map((stage) => (stage.kind === 'event' ? stage.exitCode : stage.kind)),
    ['rounds', 7, 'rounds', null, 'rounds'],
  );
});

for (const { name, seconds } of [
  { name: 'kube-portal', seconds: 2 },
  { name: "kube-proxy's rules", seconds: 3 },
]) {
  t.test(`the time-out of ${name} is measured`, async (t) => {
    const { lab, pods } = await stageFor(t);
    if (name === 'kube-portal') {
      const objects = serviceWithPods({ ...SERVICE, affinity: seconds }, pods);
      await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect', 'address'] });
    } else {
      const addresses = pods.map(({ address4 }) => address4);
      const rules = { vip: VIP, ports: PORTS, pods: addresses, affinitySeconds: seconds };
      await writeKubeProxyRules(lab.node, rules);
    }
    const { result } = await resultOfRun(lab.node, [
      ...[VIP, '--ports', '80/tcp', '--clients', CLIENTS, '--rounds', '2', '--idle', '6s'],
    ]);
    const { keptMs = 0, movedMs = null } = result.timeout ?? {};
    // The kernel and kube-portal count in ticks and in seconds, so a pin may end a little early or late.
    t.ok(keptMs < seconds * 1000 + 50, `kept for ${keptMs} ms`);
    t.ok(movedMs !== null && movedMs > seconds * 1000 - 50, `moved after ${movedMs} ms`);
    t.match(result.timeout, { port: '80/tcp' });
  });
}
