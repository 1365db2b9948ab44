import '../redirect/namespace.js';

import { writeFileSync } from 'node:fs';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Family } from '../../lib/net/address.js';
import { AF_INET } from '../../lib/sys/constants.js';
import { PacketInjector } from '../../lib/sys/injector.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { startBackend } from '../lab/backend.js';
import { askTcp, type TcpReply } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { count, nameIn } from '../lab/tally.js';
import { sh } from '../redirect/namespace.js';
import { addPod, carried, HandoverStage, NODE, POD_PORT, PORT, prepareNode, VIPS } from './handoverstage.js';
import { numberOf, synPacket } from './syn.js';

const FLOOD = fileURLToPath(new URL('syn-flood-program.js', import.meta.url));

t.setTimeout(0);

prepareNode();
const client = addPod('client', 2);
const other = addPod('other', 6);
const pods = ['a', 'b', 'c'].map((name, index) => addPod(name, 3 + index));
const backends = new Map(
  await Promise.all(
    pods.map(async (pod) => [pod.name, await startBackend(pod, { tcp: { [POD_PORT]: 'client' } })] as const),
  ),
);
t.teardown(async () => {
  for (const host of [client, other, ...pods]) await host.killPrograms();
});

function hostOf(name: string): Host {
  return pods.find((pod) => pod.name === name) as Host;
}

const ask = (family: Family, times: number, more = {}): Promise<TcpReply[]> =>
  askTcp(client, { address: VIPS[family], port: PORT, send: '?', times, concurrency: 1, ...more });

for (const family of ['IPv4', 'IPv6'] as const) {
  t.test(`endpoints see the client, in exact turns, ${family}`, async (t) => {
    const stage = await HandoverStage.start();
    t.teardown(() => stage.stop());
    await stage.serve({ family, endpoints: pods });
    const own = family === 'IPv4' ? client.address4 : client.address6;
    const replies = await ask(family, 30);
    t.same(count(replies.map(({ text }) => text)), {
      [`a:${own}`]: 10,
      [`b:${own}`]: 10,
      [`c:${own}`]: 10,
    });
    t.match(stage.counters(family), { connectionsTotal: 30, connectionsRefused: 0 });
    t.equal(stage.counters(family).carriedConnectionsActive, 30, 'the kernel remembers them for a while');
    sh(`conntrack -D -f ${family.toLowerCase()} -p tcp`);
    while (stage.counters(family).carriedConnectionsActive > 0) await setImmediate();
    t.same(stage.events, []);
  });
}

for (const family of ['IPv4', 'IPv6'] as const) {
  t.test(`a client does not see that an endpoint refuses, ${family}`, async (t) => {
    const stage = await HandoverStage.start();
    t.teardown(() => stage.stop());
    await stage.serve({ family, endpoints: pods });
    await backends.get('a')!.stop('SIGKILL');
    const replies = await ask(family, 12);
    backends.set('a', await startBackend(pods[0]!, { tcp: { [POD_PORT]: 'client' } }));
    t.same(Object.keys(names(replies)), ['b', 'c']);
    t.match(await stage.event('endpointFailed'), { reason: 'ECONNREFUSED' });
    t.match(stage.counters(family), { connectionsTotal: 12, connectionsRefused: 0, connectFailures: 1 });
  });
}

/** What the endpoints have seen, without their names. */
const sources = (replies: readonly TcpReply[]) => count(replies.map(({ text }) => text.replace(/^.*?:/, '')));
const names = (replies: readonly TcpReply[]) => count(replies.map(({ text }) => nameIn(text)));

t.test('a SYN that comes before its portal waits for it', async (t) => {
  const stage = await HandoverStage.start();
  t.teardown(() => stage.stop());
  stage.open();
  const replies = ask('IPv4', 1);
  while (!/^ *20480 +\S+ +1 /m.test(sh('cat /proc/net/netfilter/nfnetlink_queue'))) await sleep(1);
  await stage.serve({ endpoints: pods });
  t.same(
    (await replies).map(({ outcome }) => outcome),
    ['answer'],
  );
  t.match(stage.counters(), { connectionsTotal: 1 });
});

t.test('a silent endpoint loses its client at the second SYN, and then all clients', async (t) => {
  const stage = await HandoverStage.start();
  t.teardown(() => stage.stop());
  await stage.serve({ endpoints: pods });
  await pods[1]!.must('iptables', ['-A', 'INPUT', '-p', 'tcp', '-j', 'DROP']);
  const replies = await ask('IPv4', 3);
  t.match(await stage.event('endpointFailed', 'no answer to one client'), { endpoint: /^10.244.0.4:/ });
  await stage.event('endpointFailed', 'no answer in time');
  const more = await ask('IPv4', 6);
  await pods[1]!.must('iptables', ['-F', 'INPUT']);
  t.same(Object.keys(names(replies)), ['a', 'c']);
  t.same(names(more), { a: 3, c: 3 });
  t.match(stage.counters(), { connectionsTotal: 9, connectFailures: 1 });
});

t.test('a client of which the last endpoint is silent hears that another has refused', async (t) => {
  const stage = await HandoverStage.start();
  t.teardown(() => stage.stop());
  await stage.serve({ endpoints: pods.slice(0, 2) });
  await backends.get('a')!.stop('SIGKILL');
  await pods[1]!.must('iptables', ['-A', 'INPUT', '-p', 'tcp', '-j', 'DROP']);
  const replies = await ask('IPv4', 1);
  await pods[1]!.must('iptables', ['-F', 'INPUT']);
  backends.set('a', await startBackend(pods[0]!, { tcp: { [POD_PORT]: 'client' } }));
  t.match(await stage.event('endpointFailed', 'no answer to one client'), { endpoint: /^10.244.0.4:/ });
  t.same(
    replies.map(({ outcome }) => outcome),
    ['ECONNREFUSED'],
  );
  t.match(stage.counters(), { connectionsTotal: 1, connectionsRefused: 1 });
});

t.test('an endpoint that only one client may not use is not avoided', async (t) => {
  const stage = await HandoverStage.start();
  t.teardown(() => stage.stop());
  await stage.serve({ endpoints: pods });
  await pods[1]!.must('iptables', ['-A', 'INPUT', '-s', client.address4, '-p', 'tcp', '-j', 'DROP']);
  const request = { address: VIPS.IPv4, port: PORT, send: '?', concurrency: 1 };
  const replies = await ask('IPv4', 3);
  const others = await askTcp(other, { ...request, times: 9 });
  await pods[1]!.must('iptables', ['-F', 'INPUT']);
  t.same(Object.keys(names(replies)), ['a', 'c']);
  t.same(names(others), { a: 3, b: 3, c: 3 });
});

for (const family of ['IPv4', 'IPv6'] as const) {
  const [own, node] = family === 'IPv4' ? [client.address4, NODE.address4] : [client.address6, NODE.address6];

  t.test(`where masquerading is due, endpoints see the node, ${family}`, async (t) => {
    const stage = await HandoverStage.start();
    t.teardown(() => stage.stop());
    await stage.serve({ family, endpoints: pods, masquerade: 'always' });
    t.same(sources(await ask(family, 6)), { [node]: 6 });
    await stage.serve({ family, endpoints: pods, masquerade: 'off-cluster' });
    t.same(sources(await ask(family, 6)), { [own]: 6 }, 'no CIDR of the cluster is known');
    await backends.get('a')!.stop('SIGKILL');
    await stage.serve({ family, endpoints: pods, masquerade: 'always' });
    const replies = await ask(family, 6);
    backends.set('a', await startBackend(pods[0]!, { tcp: { [POD_PORT]: 'client' } }));
    t.same(sources(replies), { [node]: 6 }, 'and clients do not see that an endpoint refuses');
    t.match(stage.counters(family), { connectionsTotal: 18, connectionsRefused: 0, connectFailures: 1 });
  });

  t.test(`programs of the node are carried too, ${family}`, async (t) => {
    const stage = await HandoverStage.start();
    t.teardown(() => stage.stop());
    await stage.serve({ family, endpoints: pods });
    const before = carried(family);
    const replies = await askTcp(NODE, { address: VIPS[family], port: PORT, send: '?', times: 6 });
    t.same(sources(replies), { [node]: 6 });
    t.same(names(replies), { a: 2, b: 2, c: 2 });
    t.equal(carried(family) - before, 6, 'by the kernel');
  });

  t.test(`without forwarding, clients are relayed, ${family}`, async (t) => {
    const stage = await HandoverStage.start();
    t.teardown(() => stage.stop());
    await stage.serve({ family, endpoints: pods });
    await stage.setForwarding('off');
    const replies = await ask(family, 6);
    t.same(sources(replies), { [node]: 6 });
    t.same(names(replies), { a: 2, b: 2, c: 2 }, 'and no turn is lost');
    await stage.setForwarding('forwards');
    t.same(sources(await ask(family, 6)), { [own]: 6 });
    t.same(stage.events, []);
  });

  t.test(`a pod that reaches itself is relayed, ${family}`, async (t) => {
    const stage = await HandoverStage.start();
    t.teardown(() => stage.stop());
    await stage.serve({ family, endpoints: pods });
    const request = { address: VIPS[family], port: PORT, send: '?', times: 6 };
    t.same(sources(await askTcp(pods[0]!, request)), { [node]: 6 });
  });

  t.test(`where the firewall drops, waiting clients go to the relay, ${family}`, async (t) => {
    const iptables = family === 'IPv4' ? 'iptables' : 'ip6tables';
    const stage = await HandoverStage.start();
    t.teardown(async () => {
      sh(`${iptables} -F FORWARD; ${iptables} -P FORWARD ACCEPT`);
      await stage.stop();
    });
    const b = family === 'IPv4' ? pods[1]!.address4 : pods[1]!.address6;
    sh(
      `${iptables} -P FORWARD DROP; ${iptables} -A FORWARD -d ${b} -j ACCEPT; ${iptables} -A FORWARD -s ${b} -j ACCEPT`,
    );
    await stage.setForwarding('doubtful');
    await stage.serve({ family, endpoints: [pods[1]!] });
    t.same(sources(await ask(family, 2)), { [own]: 2 }, 'a rule lets it pass');
    await stage.serve({ family, endpoints: pods });
    const replies = await ask(family, 12, { concurrency: 3 });
    t.same(Object.keys(names(replies)), ['a', 'b', 'c'], 'all are served');
    t.same(Object.keys(sources(replies)).includes(node), true, 'by the relay too');
    t.match(await stage.event('notCarried'), { reason: 'FORWARD policy' });
    t.equal(stage.counters(family).connectFailures, 0, 'no endpoint is blamed');
    t.same(sources(await ask(family, 6)), { [node]: 6 }, 'then all are relayed');
  });
}

t.test('clients are relayed while the table of tracked flows is full', async (t) => {
  const max = Number(sh('cat /proc/sys/net/netfilter/nf_conntrack_max'));
  if (max > 300_000) {
    t.pass(`not tried: there is room for ${max} flows`);
    return;
  }
  const stage = await HandoverStage.start();
  t.teardown(() => stage.stop());
  await stage.serve({ endpoints: pods });
  fillTable(max);
  const replies = await ask('IPv4', 3);
  sh('conntrack -F');
  t.same(sources(replies), { [NODE.address4]: 3 });
  t.match(await stage.event('notCarried'), { reason: 'ENOMEM' });
});

/** Lets the kernel track so many flows of nobody, for an hour. */
function fillTable(flows: number): void {
  // Those of the tests before would end meanwhile, and make room.
  sh('conntrack -F');
  const PART = 20_000;
  const PORTS = 60_000;
  for (let first = 0; first < flows; first += PART) {
    const lines = Array.from({ length: PART }, (_, index) => {
      const flow = first + index;
      const source = `-s 198.51.100.${Math.floor(flow / PORTS)} --sport ${1 + (flow % PORTS)}`;
      return `-I -p udp -t 3600 ${source} -d 192.0.2.99 --dport 9\n`;
    });
    writeFileSync('/run/netns/flows', lines.join(''));
    sh('conntrack --load-file /run/netns/flows 2>/dev/null || true');
  }
}

/** Connects from one port, again and again. @returns the answers */
function useOnePort(times: number): Promise<string> {
  const script = `
    import { connect } from 'node:net';
    for (let i = 0; i < ${times}; i++) {
      const socket = connect({ host: '${VIPS.IPv4}', port: ${PORT}, localPort: 45678 });
      socket.on('error', (error) => { process.stdout.write(error.code + ' '); });
      socket.write('?');
      const text = await new Promise((resolve) => socket.once('data', resolve).once('close', () => resolve('')));
      process.stdout.write(text + ' ');
      socket.resetAndDestroy();
      await new Promise((resolve) => socket.once('close', resolve));
    }`;
  return client.must(process.execPath, ['--input-type=module', '-e', script]);
}

t.test('an old connection gives its port free', async (t) => {
  sh('conntrack -F');
  const stage = await HandoverStage.start();
  t.teardown(() => stage.stop());
  await stage.serve({ endpoints: pods });
  const own = client.address4;
  t.equal(await useOnePort(4), `a:${own} b:${own} c:${own} a:${own} `, 'the next in turn each time');
  t.match(stage.counters(), { connectionsTotal: 4 });
  // Workers hear of the ends of entries up to 20 ms later.
  while (stage.counters().carriedConnectionsActive !== 1) await setImmediate();
});

/** Sends a SYN in the client's name, as if it began another connection with this port. */
function forge(clientPort: number): void {
  const injector = PacketInjector.open(AF_INET);
  const ends = { client: numberOf(client.address4), clientPort, vip: numberOf(VIPS.IPv4), port: PORT };
  const forged = synPacket(ends, 4711);
  injector.pushPacket(forged, 0, forged.length);
  t.equal(injector.send(SocketAddress.of(pods[0]!.address4, 0)), 1);
  injector.close();
}

for (const isAfterUse of [false, true]) {
  const when = isAfterUse ? ', after a port was used again' : '';
  const sourcePort = isAfterUse ? 45_679 : 45_680;
  t.test(`a SYN that seems to come from the client does not end an open connection${when}`, async (t) => {
    const stage = await HandoverStage.start();
    t.teardown(() => stage.stop());
    await stage.serve({ endpoints: pods });
    const talk = client.spawn('socat', ['STDIO', `TCP4:${VIPS.IPv4}:${PORT},sourceport=${sourcePort}`]);
    talk.write('1');
    await talk.waitForOutput(/^a:/);
    if (isAfterUse) await useOnePort(3);
    forge(sourcePort);
    t.same(sources(await ask('IPv4', 1)), { [client.address4]: 1 }, 'the worker has met it');
    talk.write('2');
    await talk.waitForOutput(/^a:.*a:/);
    await talk.stop('SIGKILL');
    t.equal(stage.counters().connectionsTotal, isAfterUse ? 5 : 2);
  });
}

t.test('in a flood of SYNs, all clients are served', async (t) => {
  const stage = await HandoverStage.start();
  t.teardown(() => stage.stop());
  await stage.serve({ endpoints: pods });
  const flood = client.spawn(process.execPath, [FLOOD, VIPS.IPv4, String(PORT), '7000']);
  await flood.waitForOutput(/sending/);
  const replies = await ask('IPv4', 300);
  await flood.stop('SIGKILL');
  sh('conntrack -F');
  t.same(Object.keys(names(replies)), ['a', 'b', 'c']);
});

t.test('clients with affinity keep their endpoint, and lose it when it fails', async (t) => {
  const stage = await HandoverStage.start();
  t.teardown(() => stage.stop());
  const policy = { affinity: { by: 'client-ip', timeoutMs: 60_000 } } as const;
  await stage.serve({ endpoints: pods, policy });
  const first = Object.keys(names(await ask('IPv4', 6)));
  t.equal(first.length, 1);
  const [name] = first as [string];
  await backends.get(name)!.stop('SIGKILL');
  const second = Object.keys(names(await ask('IPv4', 6)));
  backends.set(name, await startBackend(hostOf(name), { tcp: { [POD_PORT]: 'client' } }));
  t.equal(second.length, 1);
  t.not(second[0], name);
  t.same(Object.keys(names(await ask('IPv4', 6))), second, 'it stays with the second');
  t.match(stage.counters(), { pinsMoved: 1, connectFailures: 1 });
});

t.test('an endpoint to which no route leads is passed over', async (t) => {
  const [pod] = pods as [Host];
  const stage = await HandoverStage.start();
  t.teardown(() => stage.stop());
  sh(`ip route replace blackhole ${pod.address4}`);
  await stage.serve({ endpoints: pods });
  const replies = await ask('IPv4', 6);
  sh(`ip route del blackhole ${pod.address4}; ip route add ${pod.address4} dev pod-a src ${NODE.address4}`);
  t.same(names(replies), { b: 3, c: 3 });
  t.match(await stage.event('endpointFailed'), { reason: 'EINVAL' });
});

t.test('without an endpoint, clients are refused by the listener', async (t) => {
  const stage = await HandoverStage.start();
  t.teardown(() => stage.stop());
  await stage.serve({ endpoints: [] });
  t.match(await ask('IPv4', 1), [{ outcome: 'ECONNRESET' }]);
  t.equal(stage.counters().connectionsRefused, 1);
});

t.test('when all endpoints refuse, so the client is refused', async (t) => {
  const stage = await HandoverStage.start();
  t.teardown(() => stage.stop());
  for (const { name } of pods) await backends.get(name)!.stop('SIGKILL');
  await stage.serve({ endpoints: pods });
  const replies = await ask('IPv4', 1);
  for (const pod of pods) backends.set(pod.name, await startBackend(pod, { tcp: { [POD_PORT]: 'client' } }));
  t.match(replies, [{ outcome: 'ECONNREFUSED' }]);
  t.match(stage.counters(), { connectFailures: 3, connectionsRefused: 1, connectionsTotal: 1 });
});
