import t from 'tap';
import { type SinkAnswer, startBackend } from './backend.js';
import { askTcp, askUdp, flood, HeldConnections, transfer } from './client.js';
import { exactly } from './items.js';
import { Lab } from './lab.js';
import { patternDigest } from './pattern.js';
import { run } from './program.js';

const BYTES = 3_000_000;

t.test('hosts of a lab reach each other', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'server'] });
  const client = lab.pod('client');
  const server = lab.pod('server');
  await startBackend(server, { tcp: { 80: 'http', 81: 'name' }, udp: { 53: 'name' } });

  for (const [family, address, url] of [
    ['IPv4', server.address4, `http://${server.address4}`],
    ['IPv6', server.address6, `http://[${server.address6}]`],
  ] as const) {
    for (const host of [client, lab.node, lab.outside]) {
      t.equal(await host.must('curl', ['-sS', url]), 'server\n', `${family} TCP from ${host.name}`);
      const [reply] = exactly(1, await askUdp(host, { address, port: 53, payload: 'hello' }));
      t.same(reply.answers, ['server:hello'], `${family} UDP from ${host.name}`);
    }
  }
});

for (const link of ['neighbour', 'point to point'] as const) {
  t.test(`hosts of a lab with the link ${link} reach each other`, async (t) => {
    const lab = await Lab.forTest(t, { pods: ['client', 'server'], link });
    const [client, server] = [lab.pod('client'), lab.pod('server')];
    const remote = await lab.addRemotePod('remote');
    await startBackend(server, { tcp: { 81: 'client' }, udp: { 53: 'client' } });
    for (const family of ['address4', 'address6'] as const) {
      const address = server[family];
      for (const host of [client, lab.node, remote]) {
        const sees = `server:${host[family]}`;
        t.match(await askTcp(host, { address, port: 81, send: 'x' }), [{ text: sees }], `TCP, ${host.name}`);
        t.match(await askUdp(host, { address, port: 53 }), [{ answers: [sees] }], `UDP, ${host.name}`);
      }
    }
    const route = await client.must('ip', ['route', 'get', server.address4]);
    const isDirect = !route.includes(`via ${lab.node.address4}`);
    t.equal(isDirect, link === 'neighbour');
  });
}

t.test('pods talk through the node only, even to their neighbours', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'server'] });
  const { stdout } = await lab.pod('client').exec('ip', ['route', 'get', lab.pod('server').address4]);
  t.match(stdout, `via ${lab.node.address4}`);
});

t.test('a pod can be many clients', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'server'] });
  const client = lab.pod('client');
  const { address4, address6 } = lab.pod('server');
  await startBackend(lab.pod('server'), { tcp: { 80: 'name' }, udp: { 53: 'name', 54: 'silent' } });

  const sources = await client.addAddresses(20);
  const replies = await askTcp(client, { address: address4, port: 80, sources, times: 2, send: 'x' });
  t.same([...new Set(replies.map(({ source }) => source))], sources);
  t.ok(replies.every(({ text }) => text === 'server:x'));

  const sources6 = await client.addAddresses(3, 'IPv6');
  const answers = await askUdp(client, { address: address6, port: 53, sources: sources6, times: 2 });
  t.same(
    answers.map((reply) => reply.answers),
    new Array(3).fill(['server:?', 'server:?']),
  );

  await client.ownRange('10.99.0.0/16');
  const request = { address: address4, port: 54, firstSource: '10.99.0.1', sources: 500, perSecond: 5000 };
  t.same(await flood(client, request), { sent: 500 });
});

t.test('backends end connections in every way', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'server'] });
  const client = lab.pod('client');
  const address = lab.pod('server').address4;
  await startBackend(lab.pod('server'), {
    tcp: { 1: 'echo', 2: 'half-close', 3: 'reset', 4: 'sink', 5: 'source', 6: 'name' },
    udp: { 1: 'echo' },
    sinkRestMs: 1,
  });

  const ask = async (port: number, options: object) =>
    (await askTcp(client, { address, port, ...options }))[0];
  t.match(await ask(1, { send: 'abc', reset: true }), { text: 'abc', outcome: 'answer' });
  t.match(await ask(2, { send: 'abc', halfClose: true, until: 'end' }), { text: 'server:3', outcome: 'end' });
  t.match(await ask(3, { send: 'abc' }), { text: '', outcome: 'ECONNRESET' });
  t.match(await ask(9, {}), { outcome: 'ECONNREFUSED' });

  const sha256 = patternDigest(BYTES);
  const up = await transfer(client, { address, port: 4, direction: 'upload', bytes: BYTES });
  t.match(up, { bytes: BYTES, sha256, outcome: 'end' });
  t.same(JSON.parse(up.text) as SinkAnswer, { name: 'server', bytes: BYTES, sha256 });
  const down = await transfer(client, { address, port: 5, direction: 'download', bytes: BYTES, restMs: 1 });
  t.match(down, { bytes: BYTES, sha256, outcome: 'end' });

  const [big] = exactly(1, await askUdp(client, { address, port: 1, bytes: 65_507 }));
  t.same(big.answers, [`65507:${patternDigest(65_507)}`]);
  const [refused] = exactly(1, await askUdp(client, { address, port: 9 }));
  t.same(refused.answers, ['ECONNREFUSED']);

  const held = HeldConnections.open(client, { address, port: 6, connections: 200 });
  t.same(await held.round(), { answered: 200, errors: [] });
  t.same(await held.round(), { answered: 200, errors: [] });
  await held.close();
});

t.test('the iptables back end that the test wants is the one in use', async (t) => {
  for (const iptables of ['nft', 'legacy'] as const) {
    const lab = await Lab.forTest(t, { iptables });
    const chains = await lab.node.must(`iptables-${iptables}-save`);
    t.match(chains, /:KUBE-IPTABLES-HINT /, iptables);
  }
});

t.test('a lab leaves nothing behind', async (t) => {
  const lab = await Lab.create({ pods: ['a', 'b'] });
  const sleeper = lab.pod('a').spawn('sleep', ['1000']);
  const namespaces = [lab.node, lab.outside, lab.pod('a'), lab.pod('b')].map((host) => host.namespace);
  await lab.removePod('a');
  t.notOk(sleeper.running, 'the program of a removed pod is gone');
  await lab.destroy();
  await lab.destroy();
  const { stdout } = await run(['ip', 'netns', 'list']);
  for (const namespace of namespaces) t.notMatch(stdout, namespace);
});
