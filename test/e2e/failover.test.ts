import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import { bothCarriers } from '../lab/carriers.js';
import { askTcp, HeldConnections, type TcpReply } from '../lab/client.js';
import { exactly, item } from '../lab/items.js';
import { RELAYED } from '../lab/kubeportal.js';
import type { Program } from '../lab/program.js';
import { settled } from '../lab/settled.js';
import { count, nameIn } from '../lab/tally.js';
import { Relay, VIP, VIP6 } from './relay.js';
import { UdpTalker } from './udp-talker.js';

const TCP = 80;
const UDP = 53;
const NAMES = ['a', 'b', 'c'];

t.setTimeout(0);

async function threeServers(t: Test, carrier: string, workers = '2') {
  const flags = [carrier, '--workers', workers];
  const relay = await Relay.forTest(t, { tcp: [TCP], udp: [UDP], servers: NAMES, flags });
  const programs = new Map<string, Program>();
  for (const pod of relay.servers)
    programs.set(pod.name, await startBackend(pod, { tcp: { [TCP]: 'name' }, udp: { [UDP]: 'name' } }));
  const kill = (name: string) => (programs.get(name) as Program).stop('SIGKILL');
  return { relay, kill };
}

function serversOf(replies: readonly TcpReply[]): string[] {
  return [
    ...new Set(replies.map(({ text, outcome }) => (outcome === 'answer' ? nameIn(text) : outcome))),
  ].sort();
}

bothCarriers('TCP clients notice nothing if endpoints die and one lives', async (t, carrier) => {
  const { relay, kill } = await threeServers(t, carrier);
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
  const [refused] = exactly(1, await askTcp(relay.client, { address: VIP, port: TCP, send: '?' }));
  const { portals } = await relay.kubePortal.status();
  // The relay has let the client in before. The kernel lets what the last endpoint says pass.
  const outcomes = { relay: /^ECONNRESET$/, kernel: /^(ECONNREFUSED|EHOSTUNREACH)$/ };
  t.match(refused.outcome, outcomes[item(portals, 0).carrier], 'all gone: refused, not left waiting');
  await relay.idle();
});

bothCarriers('TCP clients notice nothing of an unreachable route', async (t, carrier) => {
  const { relay } = await threeServers(t, carrier);
  await relay.lab.node.ip(`route add blackhole ${item(relay.servers, 0).address4}/32`);
  const replies = await askTcp(relay.client, { address: VIP, port: TCP, send: '?', times: 30 });
  t.same(serversOf(replies), ['b', 'c']);
  const talker = await UdpTalker.start(relay.client, { address: VIP, port: UDP });
  t.match(await talker.say('x'), /^[bc]:x$/, 'nor do UDP clients');
});

for (const address of [VIP, VIP6]) {
  bothCarriers(`a UDP flow moves with the datagram that was refused, ${address}`, async (t, carrier) => {
    const { relay, kill } = await threeServers(t, carrier);
    const talker = await UdpTalker.start(relay.client, { address, port: UDP });
    const first = await talker.say('one');
    const name = nameIn(String(first));
    t.ok(NAMES.includes(name));
    t.equal(await talker.say('two'), `${name}:two`, 'a flow stays where it is');
    await kill(name);
    const moved = await talker.say('three');
    const second = nameIn(String(moved));
    t.equal(moved, `${second}:three`, 'answered by another, and sent once');
    t.not(second, name);
    await kill(second);
    const last = NAMES.find((other) => other !== name && other !== second);
    t.equal(await talker.say('four'), `${last}:four`, 'and by the last');
  });
}

for (const address of [VIP, VIP6]) {
  bothCarriers(`if some UDP flows of an endpoint are refused, all move, ${address}`, async (t, carrier) => {
    const { relay, kill } = await threeServers(t, carrier, '1');
    const held = HeldConnections.open(relay.client, {
      protocol: 'UDP',
      address,
      port: UDP,
      connections: 60,
      listAnswers: true,
      patienceMs: 5000,
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

t.test('an endpoint that left the Service still answers what it was asked before', async (t) => {
  const relay = await Relay.forTest(t, { udp: [UDP], servers: ['a', 'b'], flags: [RELAYED] });
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
  await settled(relay.kubePortal, 1);
  talk.write('three\n');
  await talk.waitForOutput(/:three$/m);
  t.equal(talk.stdout, `${name}:one\n${name}:two\n${other}:three\n`);
});

bothCarriers('UDP flows of an endpoint that leaves the Service move at once', async (t, carrier) => {
  const { relay } = await threeServers(t, carrier);
  const talkers = await Promise.all(
    Array.from({ length: 9 }, () => UdpTalker.start(relay.client, { address: VIP, port: UDP })),
  );
  const ask = (word: string) => Promise.all(talkers.map((talker) => talker.say(word)));
  const before = await ask('x');
  relay.setServers(relay.servers.slice(1));
  await settled(relay.kubePortal, 2);
  const after = await ask('x');
  t.notOk(after.includes('a:x'), 'nobody asks the endpoint that left');
  for (const [index, answer] of before.entries())
    if (answer !== 'a:x') t.equal(after[index], answer, 'the others stay');
  t.ok(
    after.every((answer) => answer !== null),
    'all are answered',
  );
});

bothCarriers('a UDP client of dead endpoints does not keep the relay busy', async (t, carrier) => {
  const { relay, kill } = await threeServers(t, carrier);
  const talker = await UdpTalker.start(relay.client, { address: VIP, port: UDP });
  await talker.say('x');
  for (const name of NAMES) await kill(name);
  t.equal(await talker.say('y'), null);
  const { counters } = await relay.kubePortal.status();
  const failures = counters.reduce((sum, { connectFailures }) => sum + connectFailures, 0);
  t.ok(failures <= 3, `${failures} tries for one datagram`);
  await startBackend(item(relay.servers, 0), { udp: { [UDP]: 'name' } });
  await startBackend(item(relay.servers, 1), { udp: { [UDP]: 'name' } });
  await startBackend(item(relay.servers, 2), { udp: { [UDP]: 'name' } });
  t.match(await talker.say('z'), /^[abc]:z$/, 'and finds them again');
});
