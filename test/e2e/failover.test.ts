import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { askTcp, askUdp, HeldConnections, type TcpReply } from '../lab/client.js';
import { Host } from '../lab/host.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';
import { count, nameIn } from '../lab/tally.js';
import { Relay, VIP, VIP6 } from './relay.js';
import { callTcp } from './tcp-peers.js';
import { UdpTalker } from './udp-talker.js';

const TCP = 80;
const UDP = 53;
const NAMES = ['a', 'b', 'c'];

t.setTimeout(120_000);

async function threeServers(t: Parameters<typeof Relay.forTest>[0], workers = '2') {
  const flags = ['--workers', workers];
  const relay = await Relay.forTest(t, { tcp: [TCP], udp: [UDP], servers: NAMES, flags });
  const programs = new Map<string, Program>();
  for (const pod of relay.servers)
    programs.set(pod.name, await startBackend(pod, { tcp: { [TCP]: 'name' }, udp: { [UDP]: 'name' } }));
  const kill = (name: string) => (programs.get(name) as Program).stop('SIGKILL');
  return { relay, kill };
}

function serversOf(replies: readonly TcpReply[]): string[] {
  return [
    ...new Set(replies.map(({ text, outcome }) => (outcome === 'answer' ? text.split(':')[0] : outcome))),
  ].sort();
}

t.test('TCP clients see nothing of endpoints that die while one lives', async (t) => {
  const { relay, kill } = await threeServers(t);
  const ask = async (address: string) =>
    serversOf(await askTcp(relay.client, { address, port: TCP, send: '?', times: 60, concurrency: 8 }));
  t.same(await ask(VIP), NAMES);

  const asking = [VIP, VIP6, VIP, VIP6].map(ask);
  await kill('a');
  for (const seen of await Promise.all(asking))
    t.ok(
      seen.every((name) => NAMES.includes(name)),
      'killed under load',
    );
  t.same(await ask(VIP), ['b', 'c'], 'the process is gone');

  const black = relay.lab.pod('b');
  for (const iptables of ['iptables', 'ip6tables']) await black.must(iptables, ['-A', 'INPUT', '-j', 'DROP']);
  t.same(await ask(VIP), ['c'], 'one process gone, one black hole');
  t.same(await ask(VIP6), ['c'], 'the same with IPv6');

  await relay.lab.removePod('b');
  t.same(await ask(VIP), ['c'], 'the address is gone');
  await relay.idle();

  await kill('c');
  const [refused] = await askTcp(relay.client, { address: VIP, port: TCP, send: '?' });
  t.equal(refused.outcome, 'ECONNRESET', 'all gone: refused, not left waiting');
  await relay.idle();
});

t.test('TCP clients see nothing of a route that leads nowhere', async (t) => {
  const { relay } = await threeServers(t);
  await relay.lab.node.ip(`route add blackhole ${relay.servers[0].address4}/32`);
  const replies = await askTcp(relay.client, { address: VIP, port: TCP, send: '?', times: 30 });
  t.same(serversOf(replies), ['b', 'c']);
  const talker = await UdpTalker.start(relay.client, { address: VIP, port: UDP });
  t.match(await talker.say('x'), /^[bc]:x$/, 'nor do UDP clients');
});

t.test(
  'ten thousand endpoints without a route cost a client its connection and others nothing',
  async (t) => {
    const lab = await Lab.forTest(t, { pods: ['client', 'a'] });
    await startBackend(lab.pod('a'), { tcp: { [TCP]: 'name' }, udp: { [UDP]: 'name' } });
    for (const kind of ['unreachable', 'blackhole'])
      await lab.node.ip(`route add ${kind} 10.250.${kind === 'blackhole' ? 128 : 0}.0/17`);
    const nowhere = Array.from({ length: 10_000 }, (_, i) => {
      const address4 = `10.250.${(i & 1) * 128 + (i >> 8)}.${i & 255}`;
      return new Host({ name: `nowhere-${i}`, namespace: 'none', address4, address6: '' });
    });
    const ports = [
      { name: 'tcp', port: TCP },
      { name: 'udp', port: UDP, protocol: 'UDP' as const },
    ];
    const services = [
      serviceWithPods({ name: 'nowhere', clusterIPs: [VIP], ports }, nowhere),
      serviceWithPods({ name: 'pinned', clusterIPs: ['10.96.0.11'], ports, affinity: true }, nowhere),
      serviceWithPods({ name: 'web', clusterIPs: ['10.96.0.12'], ports }, [lab.pod('a')]),
    ];
    const options = { objects: services.flat(), flags: ['--workers', '1'] };
    const kubePortal = await KubePortal.forTest(t, lab.node, options);
    const client = lab.pod('client');
    for (const address of [VIP, '10.96.0.11']) {
      const [udp] = await askUdp(client, { address, port: UDP, payload: '?', patienceMs: 500 });
      t.equal(udp.answers[0], 'silence');
      const [tcp] = await askTcp(client, { address, port: TCP, send: '?' });
      t.equal(tcp.outcome, 'ECONNRESET', 'refused in good time');
    }
    const { counters } = await kubePortal.status();
    const tries = counters.map(({ connectFailures }) => connectFailures).filter((count) => count > 0);
    t.same(tries, [16, 16, 16, 16], 'tries of each client');
    const [other] = await askTcp(client, { address: '10.96.0.12', port: TCP, send: '?' });
    t.equal(other.text, 'a:?', 'others are served');
  },
);

t.test('a storm of failures is a few lines of the log, which tell how many there were', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client'] });
  await lab.node.ip('route add unreachable 10.250.0.0/16');
  const nowhere = Array.from({ length: 3000 }, (_, i) => {
    const address4 = `10.250.${i >> 8}.${i & 255}`;
    return new Host({ name: `nowhere-${i}`, namespace: 'none', address4, address6: '' });
  });
  const objects = serviceWithPods({ name: 'nowhere', clusterIPs: [VIP], ports: [{ port: TCP }] }, nowhere);
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags: ['--workers', '2'] });
  await askTcp(lab.pod('client'), { address: VIP, port: TCP, times: 400 });
  const { counters } = await kubePortal.status();
  const failures = counters.reduce((sum, { connectFailures }) => sum + connectFailures, 0);
  t.equal(failures, 400 * 16);
  const lines = () => kubePortal.log.filter(({ msg }) => /^endpoints? failed/.test(msg));
  const told = () => lines().reduce((sum, { times }) => sum + ((times as number | undefined) ?? 1), 0);
  await kubePortal.until(async () => told() === failures, 'every failure is in the log');
  const summaries = lines().filter(({ msg }) =>
    /^endpoints failed \d+ more times in 5 s, \d+ (or more )?endpoints$/.test(msg),
  );
  t.ok(summaries.length > 0);
  const periods = lines().filter(({ times }) => times !== undefined).length + 1;
  t.ok(lines().length <= 11 * periods, `${lines().length} lines in ${periods} periods`);
});

t.test('nobody is tried for a client that has gone', async (t) => {
  const relay = await Relay.forTest(t, { tcp: [TCP], flags: ['--redirect=address'] });
  await relay.server.must('iptables', ['-A', 'INPUT', '-p', 'tcp', '-j', 'DROP']);
  const { kubePortal, client } = relay;
  const modes = ['abort', 'abortAfterWord', 'abortHalfClosed'] as const;
  // The kernel lets them in, so that they have gone before the first try begins.
  process.kill(kubePortal.program.pid, 'SIGSTOP');
  for (const mode of modes) await callTcp(client, { mode, address: VIP, port: TCP });
  process.kill(kubePortal.program.pid, 'SIGCONT');
  const total = async (field: 'connectionsTotal' | 'connectFailures' | 'connectionsRefused') => {
    const { counters } = await kubePortal.status();
    return counters.reduce((sum, { [field]: count }) => sum + count, 0);
  };
  await kubePortal.until(async () => (await total('connectionsTotal')) === modes.length, 'all were let in');
  await relay.idle();
  t.equal(await total('connectFailures'), modes.length, 'one try each');
  t.equal(await total('connectionsRefused'), 0, 'and nobody is refused');
});

t.test(
  'a client that has sent its request and ended its side is served by the second endpoint',
  async (t) => {
    const relay = await Relay.forTest(t, { tcp: [TCP], servers: ['a', 'b'] });
    for (const pod of relay.servers) await startBackend(pod, { tcp: { [TCP]: 'half-close' } });
    await relay.server.must('iptables', ['-A', 'INPUT', '-p', 'tcp', '-j', 'DROP']);
    const request = { address: VIP, port: TCP, send: 'question', halfClose: true, until: 'end' } as const;
    const replies = await askTcp(relay.client, { ...request, times: 4 });
    t.same(new Set(replies.map(({ text }) => text)), new Set(['b:8']));
    const { counters } = await relay.kubePortal.status();
    t.ok(
      counters.some(({ connectFailures }) => connectFailures > 0),
      'the first one was tried',
    );
  },
);

t.test('an endpoint is not blamed when this node has no local port left', async (t) => {
  const relay = await Relay.forTest(t, { tcp: [TCP] });
  await startBackend(relay.server, { tcp: { [TCP]: 'name' } });
  await relay.lab.node.sysctl({ 'net/ipv4/ip_local_port_range': '40000 40003' });
  const held = HeldConnections.open(relay.client, { address: VIP, port: TCP, connections: 6 });
  await held.round();
  const said = await relay.kubePortal.waitForLog(({ reason }) => reason !== undefined);
  t.match(said, { reason: 'EADDRNOTAVAIL', msg: /not served: no local port is left.*ip_local_port_range/ });
  const blames = relay.kubePortal.log.filter(({ msg }) => msg.startsWith('endpoint failed'));
  t.same(blames, []);
  const { counters } = await relay.kubePortal.status();
  t.ok(counters.every(({ connectFailures }) => connectFailures === 0));
  await held.close();
});

for (const address of [VIP, VIP6]) {
  t.test(`a UDP flow moves with the datagram that was refused, ${address}`, async (t) => {
    const { relay, kill } = await threeServers(t);
    const talker = await UdpTalker.start(relay.client, { address, port: UDP });
    const first = await talker.say('one');
    const [name] = String(first).split(':');
    t.ok(NAMES.includes(name));
    t.equal(await talker.say('two'), `${name}:two`, 'a flow stays where it is');
    await kill(name);
    const moved = await talker.say('three');
    const [second] = String(moved).split(':');
    t.equal(moved, `${second}:three`, 'answered by another, and sent once');
    t.not(second, name);
    await kill(second);
    const last = NAMES.find((other) => other !== name && other !== second);
    t.equal(await talker.say('four'), `${last}:four`, 'and by the last');
  });
}

for (const address of [VIP, VIP6]) {
  t.test(`all UDP flows of a dead endpoint hear of it when some do, ${address}`, async (t) => {
    const { relay, kill } = await threeServers(t, '1');
    const held = HeldConnections.open(relay.client, {
      protocol: 'UDP',
      address,
      port: UDP,
      connections: 60,
      listAnswers: true,
      patienceMs: 1000,
    });
    const names = async () => ((await held.round()).answers ?? []).map(nameIn);
    const before = await names();
    t.same(count(before), { a: 20, b: 20, c: 20 });
    await kill('a');
    // The kernel refuses a few of these datagrams; the others vanish.
    await names();
    const after = await names();
    t.same([...new Set(after)].sort(), ['b', 'c'], 'none is sent to the dead endpoint again');
    t.same(
      after.filter((name, i) => before[i] !== 'a' && name !== before[i]),
      [],
      'flows of others stay',
    );
    await held.close();
  });
}

t.test('what an endpoint was asked before it left the Service, it still answers', async (t) => {
  const relay = await Relay.forTest(t, { udp: [UDP], servers: ['a', 'b'] });
  for (const pod of relay.servers) await startBackend(pod, { udp: { [UDP]: 'late' } });
  const talk = relay.client.spawn('socat', ['STDIO', `UDP4:${VIP}:${UDP}`]);
  talk.write('one\n');
  const [, name] = await talk.waitForOutput(/^(.):one$/m);
  const other = name === 'a' ? 'b' : 'a';
  talk.write('two\n');
  await relay.kubePortal.until(async () => {
    const { counters } = await relay.kubePortal.status();
    return counters.some(({ datagramsIn }) => datagramsIn === 2);
  }, 'the second datagram');
  relay.setServers([relay.lab.pod(other)]);
  await relay.kubePortal.until(async () => {
    const { portals } = await relay.kubePortal.status();
    return portals.every(({ endpoints }) => endpoints.length === 1);
  }, 'the endpoint has left');
  talk.write('three\n');
  await talk.waitForOutput(/:three$/m);
  t.equal(talk.stdout, `${name}:one\n${name}:two\n${other}:three\n`);
});

t.test('UDP flows of an endpoint that leaves the Service move at once', async (t) => {
  const { relay } = await threeServers(t);
  const talkers = await Promise.all(
    Array.from({ length: 9 }, () => UdpTalker.start(relay.client, { address: VIP, port: UDP })),
  );
  const ask = (word: string) => Promise.all(talkers.map((talker) => talker.say(word)));
  const before = await ask('x');
  relay.setServers(relay.servers.slice(1));
  await relay.kubePortal.until(async () => {
    const { portals } = await relay.kubePortal.status();
    return portals.every(({ endpoints }) => endpoints.length === 2);
  }, 'the endpoint has left');
  const after = await ask('x');
  t.notOk(after.includes('a:x'), 'nobody asks the endpoint that left');
  for (const [index, answer] of before.entries())
    if (answer !== 'a:x') t.equal(after[index], answer, 'the others stay');
  t.ok(
    after.every((answer) => answer !== null),
    'all are answered',
  );
});

t.test('a UDP client of dead endpoints does not make the relay run in circles', async (t) => {
  const { relay, kill } = await threeServers(t);
  const talker = await UdpTalker.start(relay.client, { address: VIP, port: UDP });
  await talker.say('x');
  for (const name of NAMES) await kill(name);
  t.equal(await talker.say('y'), null);
  const { counters } = await relay.kubePortal.status();
  const failures = counters.reduce((sum, { connectFailures }) => sum + connectFailures, 0);
  t.ok(failures <= 3, `${failures} tries for one datagram`);
  await startBackend(relay.servers[0], { udp: { [UDP]: 'name' } });
  await startBackend(relay.servers[1], { udp: { [UDP]: 'name' } });
  await startBackend(relay.servers[2], { udp: { [UDP]: 'name' } });
  t.match(await talker.say('z'), /^[abc]:z$/, 'and finds them again');
});
