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

t.test('a pod that dies: its clients move on all ports, and all others stay', async (t) => {
  const { lab, pods, responders } = await stageFor(t);
  const objects = serviceWithPods({ ...SERVICE, affinity: true }, pods);
  await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect', 'iptables'] });
  // Flows learn of the end from the pod's ICMP messages, and of those Linux sends one client six at once.
  await lab.pod('web-1').sysctl({ 'net/ipv4/icmp_ratelimit': '0' });
  const command = `echo killing; kill -9 ${item(responders, 1).pid}`;
  const { code, result } = await resultOfRun(lab.node, [...RUN, '--during', command]);
  const event = eventOf(result);
  t.match(event, { command, exitCode: 0, intervalMs: 100 });
  t.ok(event.startMs < event.commandStartMs && event.commandStartMs < event.commandEndMs);
  t.equal(event.gaps.length, 180);
  t.ok(event.gaps.every(({ longestMs }) => longestMs > 0));
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

const IDLE = [VIP, '--ports', '80/tcp', '--clients', CLIENTS, '--rounds', '2', '--idle', '6s'];

t.test("the time-out of kube-proxy's rules is measured", async (t) => {
  const { lab, pods } = await stageFor(t);
  const addresses = pods.map(({ address4 }) => address4);
  await writeKubeProxyRules(lab.node, { vip: VIP, ports: PORTS, pods: addresses, affinitySeconds: 3 });
  const { result } = await resultOfRun(lab.node, IDLE);
  const { keptMs = 0, movedMs = null } = result.timeout ?? {};
  // The kernel counts in ticks (xt_recent).
  t.ok(keptMs > 0 && keptMs < 3050, `kept for ${keptMs} ms`);
  t.ok(movedMs !== null && movedMs > 2950, `moved after ${movedMs} ms`);
  t.equal(result.timeout?.port, '80/tcp');
});

t.test('the time-out of kube-portal is measured', async (t) => {
  const { lab, pods } = await stageFor(t);
  const objects = serviceWithPods({ ...SERVICE, affinity: 2 }, pods);
  await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect', 'address'] });
  const { result } = await resultOfRun(lab.node, IDLE);
  const { keptMs = 0, movedMs = null } = result.timeout ?? {};
  // A busy worker looks at its clock late, so that nothing is said here about the time itself.
  t.ok(movedMs !== null && keptMs < movedMs, `between ${keptMs} and ${movedMs} ms`);
});
