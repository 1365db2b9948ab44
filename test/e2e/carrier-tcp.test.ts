import t from 'tap';
import { askTcp, HeldConnections } from '../lab/client.js';
import { item } from '../lab/items.js';
import { NODE_UPLINK } from '../lab/lab.js';
import { nameIn } from '../lab/tally.js';
import { CarriedTcp, FAMILIES, names, PORT, sources, VIPS } from './carriedtcp.js';

/** TCP connections that the kernel carries, with the whole program. */
t.setTimeout(0);

t.test('pods see their clients, in exact turns', async (t) => {
  const stage = await CarriedTcp.forTest(t, { flags: ['--workers=4'] });
  const { client, lab } = stage;
  for (const family of FAMILIES) {
    const address = VIPS[family];
    const [own, node] =
      family === 'IPv4' ? [client.address4, lab.node.address4] : [client.address6, lab.node.address6];
    const replies = await stage.ask({ address, times: 20, concurrency: 4 });
    t.same(names(replies), { a: 10, b: 10 }, family);
    t.same(sources(replies), { [own]: 20 });
    const fromNode = await stage.ask({ address, times: 4 }, lab.node);
    t.same(names(fromNode), { a: 2, b: 2 }, 'the node is a client too');
    t.same(sources(fromNode), { [node]: 4 });
    const ofItself = await stage.ask({ address, times: 4 }, lab.pod('a'));
    t.same(names(ofItself), { a: 2, b: 2 }, 'and so is a pod behind the VIP');
  }
  t.equal(await stage.counted('connectionsTotal'), 56);
});

t.test('a client meets one pod on all ports', async (t) => {
  const stage = await CarriedTcp.forTest(t, {
    servers: ['a', 'b', 'c'],
    affinity: true,
    flags: ['--workers=4'],
  });
  await stage.client.ownRange('10.99.0.0/24');
  const clients = Array.from({ length: 9 }, (_, index) => `10.99.0.${index + 1}`);
  const met = async (port: number) => {
    const replies = await stage.ask({ port, sources: clients, times: 2 });
    return replies.map(({ source, text }) => `${source} ${nameIn(text)}`).sort();
  };
  const first = await met(80);
  t.equal(new Set(first).size, 9, 'each one always the same');
  t.same(await met(81), first);
  t.same(names(await stage.ask({ sources: clients })), { a: 3, b: 3, c: 3 }, 'they are shared out evenly');
});

t.test('clients do not notice that pods die or leave', async (t) => {
  const stage = await CarriedTcp.forTest(t, { servers: ['a', 'b', 'c'] });
  const asking = (address: string) => stage.ask({ address, times: 150, concurrency: 4 });
  const isServed = (replies: Parameters<typeof names>[0], by: string) =>
    t.match(Object.keys(names(replies)).join(''), new RegExp(`^[${by}]+$`));

  const held = HeldConnections.open(stage.client, { address: VIPS.IPv4, port: 82, connections: 6 });
  t.equal((await held.round()).answered, 6);

  const removing = Promise.all([asking(VIPS.IPv4), asking(VIPS.IPv6)]);
  await stage.setServers([stage.lab.pod('a'), stage.lab.pod('c')]);
  for (const replies of await removing) isServed(replies, 'abc');
  t.same(names(await stage.ask({ times: 6 })), { a: 3, c: 3 });
  t.equal((await held.round()).answered, 6, 'open connections go on');

  const killing = Promise.all([asking(VIPS.IPv4), asking(VIPS.IPv6)]);
  await stage.kill('a');
  for (const replies of await killing) isServed(replies, 'ac');
  t.same(names(await stage.ask({ times: 4 })), { c: 4 });
  t.equal((await held.round()).answered, 4, 'but for those to the process that was killed');
  await held.close();
});

for (const [family, iptables] of [
  ['IPv4', 'iptables'],
  ['IPv6', 'ip6tables'],
] as const) {
  t.test(`a silent pod loses its client when that asks again, ${family}`, async (t) => {
    const stage = await CarriedTcp.forTest(t);
    await stage.lab.pod('a').must(iptables, ['-A', 'INPUT', '-p', 'tcp', '-j', 'DROP']);
    t.same(names(await stage.ask({ address: VIPS[family] })), { b: 1 });
    await stage.kubePortal.waitForLog(({ reason }) => reason === 'no answer in time');
    t.same(names(await stage.ask({ address: VIPS[family], times: 4 })), { b: 4 }, 'then nobody asks it');
    t.equal(await stage.counted('connectFailures'), 1);
  });
}

t.test('without forwarding, clients are relayed', async (t) => {
  const stage = await CarriedTcp.forTest(t, {}, (lab) => lab.node.sysctl({ 'net/ipv4/ip_forward': '0' }));
  const { lab, client } = stage;
  const ask = () => stage.ask({ times: 4 });
  t.same(sources(await ask()), { [lab.node.address4]: 4 });
  t.match((await stage.kubePortal.status()).problems.join(), /forward/);
  await lab.node.sysctl({ 'net/ipv4/ip_forward': '1' });
  await stage.kubePortal.until(async () => client.address4 in sources(await ask()), 'the kernel carries');
});

t.test('where the firewall drops what it forwards, clients are relayed, and the log says why', async (t) => {
  const stage = await CarriedTcp.forTest(t, {}, async (lab) => {
    for (const iptables of ['iptables', 'ip6tables'])
      await lab.node.must(iptables, ['-P', 'FORWARD', 'DROP']);
  });
  for (const family of FAMILIES) {
    const replies = await stage.ask({ address: VIPS[family], times: 6 });
    t.same(Object.keys(names(replies)), ['a', 'b'], `${family}: all are served`);
    const node = family === 'IPv4' ? stage.lab.node.address4 : stage.lab.node.address6;
    t.same(sources(replies), { [node]: 6 });
  }
  await stage.kubePortal.waitForLog(({ reason }) => reason === 'FORWARD policy');
  t.equal(await stage.counted('connectFailures'), 0, 'no pod is blamed');
});

t.test('clients of NodePorts and of the world outside', async (t) => {
  const stage = await CarriedTcp.forTest(t);
  const { lab } = stage;
  const request = { address: VIPS.IPv4, port: PORT, send: '?', times: 4 };
  t.same(sources(await askTcp(lab.outside, request)), { [lab.outside.address4]: 4 }, 'no cluster CIDR');
  t.notOk(item(await askTcp(lab.outside, { ...request, address: NODE_UPLINK.address4, times: 1 }), 0).text);
});
