import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { askTcp, askUdp, HeldConnections } from '../lab/client.js';
import { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import { KubePortal, RELAYED } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { Relay, VIP } from './relay.js';
import { callTcp } from './tcp-peers.js';

const TCP = 80;
const UDP = 53;

t.setTimeout(0);

/** Endpoints in 10.NETWORK.0.0/16. No such host needs to be. */
function addressesOf(network: number, count: number): Host[] {
  return Array.from({ length: count }, (_, i) => {
    const address4 = `10.${network}.${i >> 8}.${i & 255}`;
    return new Host({ name: `host-${network}-${i}`, namespace: 'none', address4, address6: '' });
  });
}

t.test(
  'ten thousand endpoints without a route cost a client its connection and others nothing',
  async (t) => {
    const lab = await Lab.forTest(t, { pods: ['client', 'a'] });
    await startBackend(lab.pod('a'), { tcp: { [TCP]: 'name' }, udp: { [UDP]: 'name' } });
    const nowhere = async (kind: 'unreachable' | 'blackhole', network: number) => {
      await lab.node.ip(`route add ${kind} 10.${network}.0.0/16`);
      return addressesOf(network, 10_000);
    };
    const ports = [
      { name: 'tcp', port: TCP },
      { name: 'udp', port: UDP, protocol: 'UDP' as const },
    ];
    const services = [
      serviceWithPods({ name: 'nowhere', clusterIPs: [VIP], ports }, await nowhere('unreachable', 250)),
      serviceWithPods(
        { name: 'pinned', clusterIPs: ['10.96.0.11'], ports, affinity: true },
        await nowhere('blackhole', 251),
      ),
      serviceWithPods({ name: 'web', clusterIPs: ['10.96.0.12'], ports }, [lab.pod('a')]),
    ];
    const options = { objects: services.flat(), flags: [RELAYED, '--workers', '1'] };
    const kubePortal = await KubePortal.forTest(t, lab.node, options);
    const client = lab.pod('client');
    for (const address of [VIP, '10.96.0.11']) {
      const udp = item(await askUdp(client, { address, port: UDP, payload: '?', patienceMs: 500 }), 0);
      t.equal(udp.answers[0], 'silence');
      const tcp = item(await askTcp(client, { address, port: TCP, send: '?' }), 0);
      t.equal(tcp.outcome, 'ECONNRESET', 'refused in good time');
    }
    const { counters } = await kubePortal.status();
    const tries = counters.map(({ connectFailures }) => connectFailures).filter((count) => count > 0);
    t.same(tries, [16, 16, 16, 16], 'tries of each client');
    const causes = new Map(kubePortal.log.map(({ reason, cause }) => [reason, cause]));
    t.match(causes.get('EHOSTUNREACH'), /unreachable route/);
    t.match(causes.get('EINVAL'), /blackhole route/);
    const other = item(await askTcp(client, { address: '10.96.0.12', port: TCP, send: '?' }), 0);
    t.equal(other.text, 'a:?', 'others are served');
  },
);

t.test('many failures give a few lines of the log, which count them', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client'] });
  await lab.node.ip('route add unreachable 10.250.0.0/16');
  const web = { name: 'nowhere', clusterIPs: [VIP], ports: [{ port: TCP }] };
  const objects = serviceWithPods(web, addressesOf(250, 3000));
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags: [RELAYED, '--workers', '2'] });
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
  t.ok(lines().length <= 6 * periods, `${lines().length} lines in ${periods} periods`);
});

t.test('no endpoint is tried for a client that has gone', async (t) => {
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
  const relay = await Relay.forTest(t, { tcp: [TCP], flags: [RELAYED] });
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
