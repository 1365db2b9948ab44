import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import { askUdp, HeldConnections } from '../lab/client.js';
import { RELAYED } from '../lab/kubeportal.js';
import type { Lab } from '../lab/lab.js';
import { nameIn } from '../lab/tally.js';
import { Relay, VIP, VIP6 } from './relay.js';
import { UdpTalker } from './udp-talker.js';

const UDP = 53;
const NAMES = ['a', 'b'];

t.setTimeout(0);

const BLAMELESS = { failures: 0, moved: 0, pins: 0 };

/** A node that has few ports to give. */
const withPorts =
  (first: number, last: number) =>
  ({ node }: Lab) =>
    node.sysctl({ 'net/ipv4/ip_local_port_range': `${first} ${last}` });

async function relayFor(t: Test, first: number, last: number, workers: number) {
  const flags = [RELAYED, '--workers', String(workers)];
  const options = { udp: [UDP], servers: NAMES, affinity: true, flags };
  const relay = await Relay.forTest(t, options, withPorts(first, last));
  for (const pod of relay.servers) await startBackend(pod, { udp: { [UDP]: 'name' } });
  return relay;
}

async function sums(relay: Relay) {
  const { counters } = await relay.kubePortal.status();
  const sum = (field: 'connectFailures' | 'flowsMoved' | 'pinsMoved') =>
    counters.reduce((total, portal) => total + portal[field], 0);
  return { failures: sum('connectFailures'), moved: sum('flowsMoved'), pins: sum('pinsMoved') };
}

/** Opens a UDP socket with a port of the system's choice, as the node's own programs do. */
async function ownSocket({ node }: Lab): Promise<string> {
  const script = `
    const socket = require('dgram').createSocket('udp4');
    socket.on('error', (error) => console.log(error.code)).bind(0, () => { console.log('bound'); socket.close(); });`;
  return (await node.must(process.execPath, ['-e', script])).trim();
}

for (const address of [VIP, VIP6])
  for (const workers of [1, 2])
    t.test(`many more look-ups than local ports succeed, ${address}, workers: ${workers}`, async (t) => {
      const relay = await relayFor(t, 40_000, 40_999, workers);
      const isV6 = address === VIP6;
      const sources = await relay.client.addAddresses(16, isV6 ? 'IPv6' : 'IPv4');
      const held = HeldConnections.open(relay.client, {
        protocol: 'UDP',
        address,
        port: UDP,
        connections: 32,
        sources,
        listAnswers: true,
      });
      const homes = async () => ((await held.round()).answers ?? []).map(nameIn);
      const before = await homes();
      t.ok(
        before.every((name) => NAMES.includes(name)),
        'long flows beside',
      );

      const replies = await askUdp(relay.client, {
        address,
        port: UDP,
        sockets: 3000,
        times: 3,
        concurrency: 32,
      });
      const unanswered = replies.filter(({ answers }) => !answers.every((answer) => /^[ab]:/.test(answer)));
      t.same(unanswered, [], 'every look-up has its answer');
      t.same(await homes(), before, 'no flow has changed its pod');
      t.same(await sums(relay), BLAMELESS);
      t.equal(await ownSocket(relay.lab), 'bound', 'some ports are left to the programs of the node');
      const short = relay.kubePortal.log.filter(({ msg }) => msg.startsWith('local UDP ports'));
      t.ok(short.length > 0 && short.length <= 4, `said ${short.length} times, not for each flow`);
      await held.close();
    });

t.test('no endpoint is blamed if other programs have all local ports', async (t) => {
  const relay = await relayFor(t, 40_000, 40_007, 1);
  const { node } = relay.lab;
  const script = `
    const { createSocket } = require('dgram');
    for (let port = 40000; port <= 40007; port++) createSocket('udp4').bind(port);
    setTimeout(() => console.log('ready'), 100);
    process.stdin.on('end', () => process.exit()).resume();`;
  const others = node.spawn(process.execPath, ['-e', script]);
  await others.waitForOutput(/ready/);
  const talker = await UdpTalker.start(relay.client, { address: VIP, port: UDP });
  t.equal(await talker.say('one'), null);
  t.same(await sums(relay), BLAMELESS);
  const line = await relay.kubePortal.waitForLog(({ reason }) => reason === 'EADDRNOTAVAIL');
  t.match(line.msg, /no local port is left towards the endpoint, .*widen net.ipv4.ip_local_port_range/);
  others.closeInput();
  await others.exited;
  t.match(await talker.say('two'), /^[ab]:two$/, 'and served once there are some');
});
