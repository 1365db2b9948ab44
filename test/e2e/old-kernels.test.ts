import { fileURLToPath } from 'node:url';
import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { bothCarriers } from '../lab/carriers.js';
import { askTcp, askUdp, transfer } from '../lab/client.js';
import { RELAYED } from '../lab/kubeportal.js';
import { oldKernel } from '../lab/old-kernel.js';
import { patternDigest } from '../lab/pattern.js';
import { Relay, VIP, VIP6 } from './relay.js';
import { UdpTalker } from './udp-talker.js';

const PORT = 7;
const BULK = 64 << 20;
const SEGMENTS_PROGRAM = fileURLToPath(new URL('../sys/segments-program.js', import.meta.url));
/** Runs: of one size, with a short end, with one that is another size. */
const BURSTS = [
  new Array(14).fill(1000),
  [...new Array(14).fill(1200), 400],
  [...new Array(7).fill(64), 65, ...new Array(7).fill(64)],
];
const ROUNDS = 10;

t.setTimeout(0);

async function burstsArrive(relay: Relay): Promise<void> {
  for (const address of [VIP, VIP6]) {
    const talker = await UdpTalker.start(relay.client, { address, port: PORT });
    for (let round = 0; round < ROUNDS; round++) {
      for (const sizes of BURSTS) {
        const reply = await talker.burst(sizes);
        if (!reply.intact || reply.sizes.join() !== sizes.join())
          throw new Error(`sent ${sizes} to ${address}, back came ${reply.sizes}, intact: ${reply.intact}`);
      }
    }
  }
}

t.test('datagrams arrive if the kernel ignores UDP_SEGMENT (before Linux 4.18)', async (t) => {
  const env = oldKernel(t, 'UDP_SEGMENT');
  const relay = await Relay.forTest(t, { udp: [PORT], flags: [RELAYED, '--workers', '2'], env });
  await startBackend(relay.server, { udp: { [PORT]: 'echo' } });
  await burstsArrive(relay);
  t.pass('runs arrive as the datagrams that they are made of');
  const run = (env: Readonly<Record<string, string>>) =>
    relay.lab.node.must(process.execPath, [SEGMENTS_PROGRAM, relay.server.address4], { env });
  t.equal(await run(env), 'none 4\n', 'they go one by one');
  t.equal(await run({}), 'sent 4\n', 'where the kernel cuts them they go as one');
});

t.test('VIPs are served if the kernel has no IPV6_FREEBIND (before Linux 4.15)', async (t) => {
  const env = oldKernel(t, 'IPV6_FREEBIND');
  const options = { tcp: [PORT], udp: [PORT], flags: ['--redirect=address'], env };
  const relay = await Relay.forTest(t, options);
  await startBackend(relay.server, { tcp: { [PORT]: 'name' }, udp: { [PORT]: 'name' } });
  for (const address of [VIP, VIP6]) {
    t.match(await askTcp(relay.client, { address, port: PORT, send: '?' }), [{ text: 'server:?' }]);
    t.match(await askUdp(relay.client, { address, port: PORT }), [{ answers: ['server:?'] }]);
  }
});

t.test('UDP works without recvmmsg and sendmmsg', async (t) => {
  const env = oldKernel(t, 'recvmmsg', 'sendmmsg');
  const relay = await Relay.forTest(t, { udp: [PORT], flags: [RELAYED], env });
  await startBackend(relay.server, { udp: { [PORT]: 'echo' } });
  await burstsArrive(relay);
  t.pass('datagrams pass one by one');
});

t.test('first datagrams find their endpoint without recvmmsg', async (t) => {
  const env = oldKernel(t, 'recvmmsg', 'sendmmsg');
  const relay = await Relay.forTest(t, { udp: [PORT], env });
  await startBackend(relay.server, { udp: { [PORT]: 'name' } });
  const answers = await askUdp(relay.client, { address: VIP, port: PORT, sockets: 20 });
  t.same(new Set(answers.flatMap(({ answers }) => answers)), new Set(['server:?']));
});

bothCarriers('TCP works without accept4', async (t, carrier) => {
  const relay = await Relay.forTest(t, { tcp: [PORT], flags: [carrier], env: oldKernel(t, 'accept4') });
  await startBackend(relay.server, { tcp: { [PORT]: 'name' } });
  const answers = await askTcp(relay.client, { address: VIP, port: PORT, send: '?', times: 20 });
  t.same(new Set(answers.map(({ text }) => text)), new Set(['server:?']));
});

bothCarriers('TCP works without splice', async (t, carrier) => {
  const relay = await Relay.forTest(t, { tcp: [1, 2], flags: [carrier], env: oldKernel(t, 'splice') });
  await startBackend(relay.server, { tcp: { 1: 'sink', 2: 'source' } });
  const sha256 = patternDigest(BULK);
  const up = await transfer(relay.client, { address: VIP, port: 1, direction: 'upload', bytes: BULK });
  t.match(up, { text: JSON.stringify({ name: 'server', bytes: BULK, sha256 }) }, 'upload');
  const down = await transfer(relay.client, { address: VIP6, port: 2, direction: 'download', bytes: BULK });
  t.match(down, { bytes: BULK, sha256, outcome: 'end' }, 'download');
});
