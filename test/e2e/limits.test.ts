import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { askTcp, HeldConnections } from '../lab/client.js';
import { item } from '../lab/items.js';
import { KubePortal, RELAYED } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { tallies } from '../lab/tally.js';
import { Relay, VIP } from './relay.js';

const TCP = 80;
const CLOCK_TICKS = 100;

t.setTimeout(0);

/** Processor time a process has used, s (proc(5), stat). */
function processorTime(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
}

t.test('9,000 connections are served under a limit of 20,000 descriptors', async (t) => {
  const servers = ['a', 'b', 'c'];
  const relay = await Relay.forTest(t, { tcp: [TCP], servers, descriptorLimit: 20_000, flags: [RELAYED] });
  for (const pod of relay.servers) await startBackend(pod, { tcp: { [TCP]: 'name' } });
  const held = HeldConnections.open(relay.client, { address: VIP, port: TCP, connections: 9000 });
  t.same(await held.round(), { answered: 9000, errors: [] }, 'once all are open');
  t.equal(await relay.connections(), 9000);
  t.same(await held.round(), { answered: 9000, errors: [] }, 'and once more');
  await held.close();
  await relay.idle();
  t.ok(relay.kubePortal.program.descriptors() < 500, 'and all are given back');
});

t.test('without free descriptors, clients wait and are served when others end', async (t) => {
  // Leaves room for some seventy connections.
  const relay = await Relay.forTest(t, {
    tcp: [TCP],
    descriptorLimit: 300,
    flags: [RELAYED, '--workers', '2'],
  });
  await startBackend(relay.server, { tcp: { [TCP]: 'name' } });
  const { kubePortal } = relay;
  const held = HeldConnections.open(relay.client, { address: VIP, port: TCP, connections: 40 });
  t.same(await held.round(), { answered: 40, errors: [] });

  const rush = HeldConnections.open(relay.client, { address: VIP, port: TCP, connections: 60 });
  await kubePortal.waitForLog(({ msg }) => msg.includes('descriptors are used up'));
  const used = processorTime(kubePortal.program.pid);
  await sleep(2000);
  t.ok(processorTime(kubePortal.program.pid) - used < 1, 'waiting costs no processor time');
  t.equal(await kubePortal.healthz(), 200, 'the process is well');
  t.same(await held.round(), { answered: 40, errors: [] }, 'those served before are served still');
  t.ok((await relay.connections()) < 100, 'some wait');
  const lines = kubePortal.log.filter(({ msg }) => msg.includes('descriptors are used up'));
  t.ok(lines.length <= 4, `${lines.length} lines in the log`);
  t.match(item(lines, 0).msg, /LimitNOFILE/, 'which say what to do');

  await held.close();
  t.same(await rush.round(), { answered: 60, errors: [] }, 'the waiting ones are served');
  await rush.close();
  await relay.idle();
  const after = item(await askTcp(relay.client, { address: VIP, port: TCP, send: '?' }), 0);
  t.equal(after.text, 'server:?', 'and so are new ones');
});

t.test('one client with many idle connections does not keep other clients out', async (t) => {
  // Leaves room for some three hundred connections.
  const relay = await Relay.forTest(t, {
    tcp: [TCP],
    descriptorLimit: 800,
    flags: [RELAYED, '--workers', '2'],
  });
  await startBackend(relay.server, { tcp: { [TCP]: 'name' } });
  const { client, kubePortal } = relay;
  const sources = await client.addAddresses(50);
  const target = { address: VIP, port: TCP };
  const crowd = HeldConnections.open(client, { ...target, connections: 260 });
  t.equal((await crowd.round()).answered, 260);
  const active = HeldConnections.open(client, { ...target, connections: 10 });
  t.equal((await active.round()).answered, 10);
  // More than there is room for: these wait, or are refused.
  const rest = HeldConnections.open(client, { ...target, connections: 300, patienceMs: 1000 });

  const others = HeldConnections.open(client, { ...target, sources, connections: 150 });
  t.same(await others.round(), { answered: 150, errors: [] }, 'others get their share');
  t.same(await active.round(), { answered: 10, errors: [] }, 'what is in use goes on');
  const answers = await askTcp(client, { ...target, sources, times: 10, send: '?' });
  t.equal(answers.filter(({ outcome }) => outcome === 'answer').length, 500, 'and new ones all the time');
  t.same(await others.round(), { answered: 150, errors: [] });
  t.same(await active.round(), { answered: 10, errors: [] });

  const { answered } = await crowd.round();
  t.ok(answered < 260, `the crowd has lost idle ones: ${answered} are left`);
  const { counters } = await kubePortal.status();
  t.ok(counters.some(({ connectionsEvicted }) => connectionsEvicted > 0));
  const limited = kubePortal.log.filter(({ msg }) => msg.includes('has the most connections'));
  t.same([...new Set(limited.map((line) => line.client))], [client.address4], 'the log says who it was');
  await Promise.all([crowd, active, rest, others].map((held) => held.close()));
  await relay.idle();
});

t.test('portals are served although descriptors are too few for a listener in every worker', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'server'] });
  const server = lab.pod('server');
  await startBackend(server, { tcp: { [TCP]: 'name' } });
  const vips = Array.from({ length: 400 }, (_, index) => `10.96.${index >> 8}.${index & 255}`);
  const objects = vips.flatMap((vip, index) =>
    serviceWithPods({ name: `web-${index}`, clusterIPs: [vip], ports: [{ port: TCP }] }, [server]),
  );
  const flags = ['--workers', '2'];
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags, descriptorLimit: 800 });
  t.ok(kubePortal.program.descriptors() < 550, 'most listen in one worker');
  const questions = vips
    .slice(-50)
    .map((address) => ({ protocol: 'TCP', address, port: TCP, times: 1 }) as const);
  const answers = await tallies(lab.pod('client'), questions);
  t.same(answers, new Array(50).fill({ server: 1 }), 'and there is room for clients');
});
