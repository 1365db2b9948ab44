import '../redirect/namespace.js';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { EndpointCounters, UsedEndpoint } from '../../lib/dataplane/shared/endpoints.js';
import type { Family } from '../../lib/net/address.js';
import { startBackend } from '../lab/backend.js';
import { askUdp, HeldConnections } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import { count, nameIn } from '../lab/tally.js';
import { sh } from '../redirect/namespace.js';
import { addPod, carried, HandoverStage, NODE, POD_PORT, PORT, prepareNode, VIPS } from './handoverstage.js';

t.setTimeout(0);

prepareNode();
const client = addPod('client', 2);
const pods = ['a', 'b', 'c'].map((name, index) => addPod(name, 3 + index));
const start = (pod: Host) => startBackend(pod, { udp: { [POD_PORT]: 'client' } });
const backends = new Map(await Promise.all(pods.map(async (pod) => [pod.name, await start(pod)] as const)));
t.teardown(async () => {
  for (const host of [client, ...pods]) await host.killPrograms();
});

const kill = (name: string) => backends.get(name)?.stop('SIGKILL');
const revive = async (name: string) => {
  backends.set(name, await start(pods.find((pod) => pod.name === name) as Host));
};

/** Answers of some flows, which are open at the same time, to some datagrams each. */
async function ask(family: Family, flows: number, rounds = 1, from: Host = client): Promise<string[]> {
  return askAt(VIPS[family], flows, rounds, from);
}

async function askAt(address: string, flows: number, rounds: number, from: Host = client): Promise<string[]> {
  const held = hold(address, flows, { from });
  const answers: string[] = [];
  for (let round = 0; round < rounds; round++) answers.push(...(await held.round()));
  await held.close();
  return answers;
}

/** Flows that ask once in each round. @param patienceMs an answer that has not come by then is lost */
function hold(
  address: string,
  flows: number,
  { from = client, patienceMs }: { readonly from?: Host; readonly patienceMs?: number } = {},
) {
  const to = { address, port: PORT, connections: flows, ...(patienceMs !== undefined && { patienceMs }) };
  const held = HeldConnections.open(from, { protocol: 'UDP', ...to, listAnswers: true });
  return { round: async () => (await held.round()).answers ?? [], close: () => held.close() };
}

/** What the client's socket with a port gets from each place that it asks, one after the other. */
async function askFromPort(
  family: Family,
  port: number,
  places: readonly (readonly [address: string, port: number])[],
): Promise<string[]> {
  const program = `
    import { createSocket } from 'node:dgram';
    import { once } from 'node:events';
    const socket = createSocket('${family === 'IPv4' ? 'udp4' : 'udp6'}').bind(${port});
    await once(socket, 'listening');
    for (const [address, port] of ${JSON.stringify(places)}) {
      socket.send('?', port, address);
      console.log(String((await once(socket, 'message'))[0]));
    }
    socket.close();`;
  return (await client.must(process.execPath, ['--input-type=module', '-e', program])).trim().split('\n');
}

/** How many datagrams the client has refused by an ICMP error. */
async function refusedByClient(family: Family): Promise<number> {
  const counter = family === 'IPv4' ? 'IcmpOutDestUnreachs' : 'Icmp6OutDestUnreachs';
  const output = await client.must('nstat', ['--ignore', '--zero', '--noupdate', counter]);
  return Number(/Unreachs +(\d+)/.exec(output)?.[1]);
}

/** What the endpoints have seen, without their names. */
const sources = (answers: readonly string[]) => count(answers.map((text) => text.replace(/^.*?:/, '')));
const names = (answers: readonly string[]) => count(answers.map(nameIn));
const addressOf = ({ address4, address6 }: Host, family: Family) => (family === 'IPv4' ? address4 : address6);

function sumOf(endpoints: readonly (UsedEndpoint | undefined)[], field: keyof EndpointCounters): number {
  return endpoints.reduce((sum, endpoint) => sum + (endpoint?.[field] ?? 0), 0);
}

async function stageFor(t: Tap): Promise<HandoverStage> {
  const stage = await HandoverStage.start('UDP');
  t.teardown(async () => {
    await stage.stop();
    sh('conntrack -F');
  });
  return stage;
}

for (const family of ['IPv4', 'IPv6'] as const) {
  const own = addressOf(client, family);
  const node = addressOf(NODE, family);

  t.test(`endpoints see the client, in exact turns, ${family}`, async (t) => {
    const stage = await stageFor(t);
    await stage.serve({ family, endpoints: pods });
    const replies = await ask(family, 30, 3);
    t.same(count(replies), { [`a:${own}`]: 30, [`b:${own}`]: 30, [`c:${own}`]: 30 });
    t.equal(carried(family), 30, 'by the kernel');
    t.match(stage.counters(family), {
      flowsTotal: 30,
      flowsActive: 0,
      carriedFlowsActive: 30,
      datagramsDropped: 0,
    });
    t.same(stage.events, []);
  });

  t.test(`programs of the node are carried, and masqueraded, ${family}`, async (t) => {
    const stage = await stageFor(t);
    await stage.serve({ family, endpoints: pods });
    t.same(sources(await ask(family, 6, 3, NODE)), { [node]: 18 });
    t.equal(carried(family), 6);
  });

  t.test(`where masquerading is due, endpoints see the node, ${family}`, async (t) => {
    const stage = await stageFor(t);
    await stage.serve({ family, endpoints: pods, masquerade: 'always' });
    t.same(sources(await ask(family, 6, 3)), { [node]: 18 });
    t.equal(carried(family), 6);
  });

  t.test(`a pod that reaches itself is relayed, ${family}`, async (t) => {
    const stage = await stageFor(t);
    await stage.serve({ family, endpoints: pods });
    t.same(sources(await ask(family, 6, 3, item(pods, 0))), { [node]: 18 });
    t.equal(carried(family), 0);
  });

  t.test(`each of several VIPs answers for itself, ${family}`, async (t) => {
    const others = family === 'IPv4' ? ['203.0.113.1', '203.0.113.2'] : ['2001:db8::1', '2001:db8::2'];
    const stage = await stageFor(t);
    await stage.serve({ family, endpoints: pods, otherVips: others });
    for (const address of [VIPS[family], ...others]) {
      const replies = await askAt(address, 3, 3);
      t.same(count(replies), { [`a:${own}`]: 3, [`b:${own}`]: 3, [`c:${own}`]: 3 }, address);
    }
    t.equal(carried(family), 9);
  });

  t.test(`without forwarding, clients are relayed, ${family}`, async (t) => {
    const stage = await stageFor(t);
    await stage.serve({ family, endpoints: pods });
    await stage.setForwarding('off');
    const replies = await ask(family, 6);
    t.same(sources(replies), { [node]: 6 });
    t.same(names(replies), { a: 2, b: 2, c: 2 }, 'and no turn is lost');
    await stage.setForwarding('forwards');
    t.same(sources(await ask(family, 6)), { [own]: 6 });
  });

  t.test(`where the firewall may drop answers, clients are relayed, ${family}`, async (t) => {
    const stage = await stageFor(t);
    await stage.serve({ family, endpoints: pods });
    await stage.setForwarding('doubtful');
    t.same(sources(await ask(family, 6)), { [node]: 6 });
    t.equal(carried(family), 0);
  });

  t.test(`a first datagram that is longer than a packet is carried too, ${family}`, async (t) => {
    const stage = await stageFor(t);
    await stage.serve({ family, endpoints: pods });
    const big = { address: VIPS[family], port: PORT, bytes: 30_000, times: 2 };
    const [reply] = await askUdp(client, big);
    t.same(
      reply?.answers.map((answer) => Number.parseInt(answer, 10)),
      [own, own].map((text) => `a:${text}`.length),
    );
  });

  t.test(`a refused datagram goes to another endpoint, ${family}`, async (t) => {
    const stage = await stageFor(t);
    await stage.serve({ family, endpoints: pods });
    await kill('a');
    const replies = await ask(family, 9, 2);
    await revive('a');
    t.same(Object.keys(names(replies)).sort(), ['b', 'c'], 'no client has noticed');
    t.same(Object.keys(sources(replies)), [own]);
    t.match(await stage.event('endpointFailed'), { reason: 'ECONNREFUSED' });
    const { flowsMoved, flowsTotal } = stage.counters(family);
    t.ok(flowsMoved > 0);
    const used = () => Promise.all(pods.map((pod) => stage.endpoint(pod, family)));
    while (sumOf(await used(), 'carriedActive') !== carried(family)) await sleep(10);
    const [a, b, c] = await used();
    t.match(a, { moved: flowsMoved, failures: flowsMoved, lastFailure: { reason: 'ECONNREFUSED' } });
    t.equal(sumOf([a, b, c], 'total'), flowsTotal + flowsMoved);
    t.equal(sumOf([a, b, c], 'active'), 0);
  });

  t.test(`no endpoint is blamed because a client does not wait for its answer, ${family}`, async (t) => {
    const stage = await stageFor(t);
    await stage.serve({ family, endpoints: pods });
    const kept = hold(VIPS[family], 3);
    const before = await kept.round();
    const program = `
      import { createSocket } from 'node:dgram';
      for (let i = 0; i < 6; i++) {
        const socket = createSocket('${family === 'IPv4' ? 'udp4' : 'udp6'}');
        await new Promise((sent) => socket.send('?', ${PORT}, '${VIPS[family]}', sent));
        socket.close();
      }`;
    const refused = await refusedByClient(family);
    await client.must(process.execPath, ['--input-type=module', '-e', program]);
    while ((await refusedByClient(family)) < refused + 2) await sleep(5);
    // When the worker has answered twice, it has seen the errors.
    for (let turn = 0; turn < 2; turn++) await stage.setForwarding('forwards');
    t.same(await kept.round(), before, 'other flows stay');
    await kept.close();
    t.same(stage.events, []);
    t.match(stage.counters(family), { connectFailures: 0, flowsMoved: 0 });
  });

  t.test(`a flow that the kernel has tracked before its VIP was served is carried, ${family}`, async (t) => {
    const stage = await stageFor(t);
    await stage.serve({ family, endpoints: pods });
    const ends = `-p udp -s ${own} -d ${VIPS[family]} -r ${VIPS[family]} -q ${own}`;
    const ports = `--sport 40001 --dport ${PORT} --reply-port-src ${PORT} --reply-port-dst 40001`;
    sh(`conntrack -I ${ends} ${ports} -t 60`);
    t.same(await askFromPort(family, 40_001, [[VIPS[family], PORT]]), [`a:${own}`]);
    t.equal(carried(family), 1);
  });

  t.test(
    `where the client asks the endpoint itself from the same port, it is relayed, ${family}`,
    async (t) => {
      const stage = await stageFor(t);
      const [pod] = pods as [Host];
      await stage.serve({ family, endpoints: [pod] });
      const answers = await askFromPort(family, 40_002, [
        [addressOf(pod, family), POD_PORT],
        [VIPS[family], PORT],
      ]);
      t.same(answers, [`a:${own}`, `a:${node}`]);
      t.equal(carried(family), 0);
      t.match(await stage.event('notCarried'), { reason: 'EEXIST' });
    },
  );

  t.test(`all flows of an endpoint move after some were refused, ${family}`, async (t) => {
    const stage = await stageFor(t);
    await stage.serve({ family, endpoints: pods });
    const held = hold(VIPS[family], 60, { patienceMs: 10_000 });
    const round = async () => (await held.round()).map(nameIn);
    const before = await round();
    t.same(count(before), { a: 20, b: 20, c: 20 });
    await kill('a');
    await round();
    let after = await round();
    while (after.some((name) => !['b', 'c'].includes(name))) after = await round();
    await held.close();
    await revive('a');
    const strays = after.filter((name, index) => before[index] !== 'a' && name !== before[index]);
    t.same(strays, [], 'flows of others stay');
  });
}

t.test('flows to an endpoint that was removed move', async (t) => {
  const stage = await stageFor(t);
  await stage.serve({ endpoints: pods });
  // An answer that is under way when the entry ends is lost.
  const held = hold(VIPS.IPv4, 30, { patienceMs: 10_000 });
  const round = async () => (await held.round()).map(nameIn);
  const before = await round();
  t.same(count(before), { a: 10, b: 10, c: 10 });
  await stage.serve({ endpoints: pods.slice(1) });
  let after = await round();
  while (after.some((name) => !['b', 'c'].includes(name))) after = await round();
  await held.close();
  const strays = after.filter((name, index) => before[index] !== 'a' && name !== before[index]);
  t.same(strays, [], 'flows of others stay');
});

t.test('flows to two endpoints that were removed move', async (t) => {
  const stage = await stageFor(t);
  await stage.serve({ endpoints: pods });
  const held = hold(VIPS.IPv4, 9, { patienceMs: 10_000 });
  const round = async () => (await held.round()).map(nameIn);
  t.same(count(await round()), { a: 3, b: 3, c: 3 });
  await stage.serve({ endpoints: pods.slice(2) });
  let after = await round();
  while (after.some((name) => name !== 'c')) after = await round();
  await held.close();
  t.equal(after.length, 9);
});

t.test('flows come back to the relay if their portal is not carried any more', async (t) => {
  const stage = await stageFor(t);
  await stage.serve({ endpoints: pods });
  const held = hold(VIPS.IPv4, 6, { patienceMs: 10_000 });
  const round = async () => count(await held.round());
  const own = client.address4;
  t.same(await round(), { [`a:${own}`]: 2, [`b:${own}`]: 2, [`c:${own}`]: 2 });
  await stage.serve({ endpoints: pods, isCarried: false });
  let seen = await round();
  while (Object.keys(seen).some((text) => !text.endsWith(NODE.address4))) seen = await round();
  await held.close();
  t.equal(
    Object.values(seen).reduce((sum, flows) => sum + flows, 0),
    6,
  );
  t.equal(carried('IPv4'), 0);
});

type Tap = Pick<typeof t, 'teardown'>;
