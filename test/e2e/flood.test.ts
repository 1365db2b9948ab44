import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { bothCarriers } from '../lab/carriers.js';
import { askUdp, flood } from '../lab/client.js';
import { RELAYED } from '../lab/kubeportal.js';
import { Relay, VIP } from './relay.js';
import { UdpTalker } from './udp-talker.js';

const UDP = 53;
const SILENT_UDP = 54;
const MEGABYTE = 1 << 20;

t.setTimeout(0);

bothCarriers('clients are served during 20,000 spoofed UDP sources in ten seconds', async (t, carrier) => {
  const descriptorLimit = 4000;
  const relay = await Relay.forTest(t, {
    udp: [UDP, SILENT_UDP],
    servers: ['a', 'b'],
    flags: [carrier, '--workers', '2'],
    descriptorLimit,
  });
  for (const pod of relay.servers)
    await startBackend(pod, { udp: { [UDP]: 'name', [SILENT_UDP]: 'silent' } });
  const { program } = relay.kubePortal;
  for (const range of ['10.97.0.0/16', '10.98.0.0/16', '10.99.0.0/16']) await relay.client.ownRange(range);
  const from = (firstSource: string, port: number, sources: number) =>
    flood(relay.client, { address: VIP, port, firstSource, sources, perSecond: 2000 });
  // Fills the tables once, so that what grows afterwards would grow for ever.
  await from('10.97.0.1', SILENT_UDP, 6000);

  const talker = await UdpTalker.start(relay.client, { address: VIP, port: UDP });
  const name = String(await talker.say('0')).split(':')[0];
  const before = program.rss();
  let mostDescriptors = 0;
  let mostMemory = 0;
  let flooding = true;
  const floods = Promise.all([from('10.98.0.1', SILENT_UDP, 10_000), from('10.99.0.1', UDP, 10_000)]);
  floods.finally(() => {
    flooding = false;
  });
  const wrong: (string | null)[] = [];
  for (let number = 1; flooding; number++) {
    const answer = await talker.say(`${number}`);
    if (answer !== `${name}:${number}`) wrong.push(answer);
    mostDescriptors = Math.max(mostDescriptors, program.descriptors());
    mostMemory = Math.max(mostMemory, program.rss());
    await sleep(20);
  }
  await floods;
  t.same(wrong, [], 'the honest flow keeps its endpoint and loses nothing');
  t.ok(mostDescriptors < descriptorLimit, `${mostDescriptors} descriptors at most`);
  t.ok(
    mostMemory - before < 16 * MEGABYTE,
    `memory grew by ${((mostMemory - before) / MEGABYTE).toFixed(1)} MiB`,
  );
  t.equal(await relay.kubePortal.healthz(), 200);
  const { counters } = await relay.kubePortal.status();
  const evicted = counters.reduce((sum, { flowsEvicted }) => sum + flowsEvicted, 0);
  // The kernel has room for all.
  t.equal(evicted > 0, carrier === RELAYED, 'there were more sources than flows that are relayed');
});

t.test('all look-ups are answered although they are many more than the flows that fit', async (t) => {
  const relay = await Relay.forTest(t, {
    udp: [UDP],
    servers: ['a', 'b'],
    flags: [RELAYED, '--workers', '1'],
    descriptorLimit: 600,
  });
  for (const pod of relay.servers) await startBackend(pod, { udp: { [UDP]: 'name' } });
  const sockets = 3000;
  const replies = await askUdp(relay.client, {
    address: VIP,
    port: UDP,
    sockets,
    concurrency: 32,
    patienceMs: 5000,
  });
  const lost = replies.filter(({ answers }) => answers.includes('silence'));
  t.equal(replies.length, sockets);
  t.same(lost, [], 'a look-up under way is not given up for those that have their answers');
  const { counters } = await relay.kubePortal.status();
  t.ok(
    counters.some(({ flowsEvicted }) => flowsEvicted > 1000),
    'there were more look-ups than flows',
  );
});
