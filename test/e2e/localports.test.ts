import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import { askTcp, type TcpReply } from '../lab/client.js';
import { RELAYED } from '../lab/kubeportal.js';
import { Relay, type RelayOptions, VIP, VIP6 } from './relay.js';

const PORT = 80;
const OTHER_PORT = 81;

t.setTimeout(0);

/** A relay whose node has so many local ports; the servers wait for the client to end. */
async function relayWithPorts(
  t: Test,
  ports: number,
  { reserved = '', ...options }: Omit<RelayOptions, 'tcp'> & { reserved?: string } = {},
): Promise<Relay> {
  const relay = await Relay.forTest(t, { tcp: [PORT, OTHER_PORT], ...options }, async (lab) => {
    await lab.node.sysctl({
      'net/ipv4/ip_local_port_range': `40000 ${40_000 + ports - 1}`,
      'net/ipv4/ip_local_reserved_ports': reserved,
    });
  });
  for (const pod of relay.servers) await startBackend(pod, { tcp: { [PORT]: 'name', [OTHER_PORT]: 'name' } });
  return relay;
}

/** Conversations that the client ends first, which makes the relay end first towards the endpoint. */
function converse(relay: Relay, times: number, address = VIP, port = PORT): Promise<TcpReply[]> {
  return askTcp(relay.client, { address, port, times, concurrency: 32, send: '?' });
}

const outcomes = (replies: readonly TcpReply[]) => {
  const counts: Record<string, number> = {};
  for (const { outcome } of replies) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
};

async function nobodyIsBlamed(t: Test, relay: Relay): Promise<void> {
  const { counters } = await relay.kubePortal.status();
  t.equal(
    counters.reduce((sum, { connectFailures }) => sum + connectFailures, 0),
    0,
    'no endpoint is blamed',
  );
  t.notOk(
    relay.kubePortal.log.some(({ msg }) => msg.includes('endpoint failed')),
    'nor said to have failed',
  );
}

for (const [family, address] of [
  ['IPv4', VIP],
  ['IPv6', VIP6],
] as const) {
  t.test(
    `${family}: more connections than local ports within a minute, ended by their clients`,
    async (t) => {
      const relay = await relayWithPorts(t, 1000, { flags: [RELAYED, '--workers', '2'] });
      t.same(outcomes(await converse(relay, 5000, address)), { answer: 5000 });
      await nobodyIsBlamed(t, relay);
    },
  );
}

t.test('ports that are reserved or that other programs have are not used', async (t) => {
  const relay = await relayWithPorts(t, 200, {
    flags: [RELAYED, '--workers', '1'],
    reserved: '40001,40003,40101-40151',
  });
  const taken = ['40005', '40007', '40009', '40011', '40013'];
  const listeners = taken.map((port) => relay.lab.node.spawn('socat', [`TCP-LISTEN:${port}`, 'STDOUT']));
  await relay.kubePortal.until(async () => {
    const open = await relay.lab.node.must('ss', ['-Hlnt']);
    return taken.every((port) => open.includes(`:${port} `));
  }, 'the ports are taken');
  t.same(outcomes(await converse(relay, 2000)), { answer: 2000 });
  await nobodyIsBlamed(t, relay);
  const used = await relay.lab.node.must('ss', ['-Hant', 'state', 'time-wait', 'dst', relay.server.address4]);
  t.match(used, /:40015 /);
  t.notMatch(used, /:(40001|40003|4010[1-9]|401[1-4]\d|4015[01]) /, 'reserved ports are left alone');
  await Promise.all(listeners.map((listener) => listener.stop()));
});

t.test('an endpoint without timestamps gets all free ports, and then clients wait', async (t) => {
  const relay = await relayWithPorts(t, 200, { servers: ['old'], flags: [RELAYED, '--workers', '1'] });
  await relay.server.sysctl({ 'net/ipv4/tcp_timestamps': '0' });
  t.same(outcomes(await converse(relay, 200)), { answer: 200 }, 'as many as there are ports');
  const late = converse(relay, 10);
  const line = await relay.kubePortal.waitForLog(({ reason }) => reason === 'EADDRNOTAVAIL');
  t.match(line.msg, /ip_local_port_range/, 'the log says what to do');
  t.same(outcomes(await converse(relay, 100, VIP, OTHER_PORT)), { answer: 100 }, 'others are served');
  // On a slow machine a minute may have passed, and ports be free again.
  const ends = (await late).filter(({ outcome }) => outcome === 'ECONNRESET' || outcome === 'answer');
  t.equal(ends.length, 10, 'nobody waits for ever');
  await nobodyIsBlamed(t, relay);
});
