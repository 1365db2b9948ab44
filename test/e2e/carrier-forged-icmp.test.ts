import t from 'tap';
import { startBackend } from '../lab/backend.js';
import type { Host } from '../lab/host.js';
import { exactly } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { nameIn } from '../lab/tally.js';
import { forge } from './icmp-forger.js';
import { VIP, VIP6 } from './relay.js';
import { UdpTalker } from './udp-talker.js';

const PORT = 53;
/** From --carrier-queue on: four queues for SYNs, four for errors, four for first datagrams. */
const ERROR_QUEUES = { first: 20_484, last: 20_487 };
/** The only one that the client has. */
const CLIENT_PORT = 40_000;

t.setTimeout(0);

/** A client of two endpoints behind a VIP that the kernel carries, and a pod that is no endpoint. */
async function stageFor(t: Tap, address: string) {
  const lab = await Lab.forTest(t, { pods: ['client', 'a', 'b', 'attacker'], link: 'point to point' });
  const [client, attacker, a, b] = exactly(
    4,
    ['client', 'attacker', 'a', 'b'].map((name) => lab.pod(name)),
  );
  for (const pod of [a, b]) await startBackend(pod, { udp: { [PORT]: 'name' } });
  await client.sysctl({ 'net/ipv4/ip_local_port_range': `${CLIENT_PORT} ${CLIENT_PORT}` });
  const ports = [{ port: PORT, protocol: 'UDP' as const }];
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods({ name: 'web', clusterIPs: [VIP, VIP6], ports, affinity: true }, [a, b]),
    flags: ['--redirect=iptables', '--carrier=kernel'],
  });
  const talker = await UdpTalker.start(client, { address, port: PORT });
  const name = nameIn(String(await talker.say('0')));
  return { kubePortal, node: lab.node, client, attacker, talker, name, endpoint: lab.pod(name) };
}

/** How many errors workers have decided about: those that were queued without those that wait. */
async function decided(node: Host): Promise<number> {
  const queues = await node.must('cat', ['/proc/net/netfilter/nfnetlink_queue']);
  const rows = queues.split('\n').map((line) => line.trim().split(/ +/).map(Number));
  return rows
    .filter(([queue = 0]) => queue >= ERROR_QUEUES.first && queue <= ERROR_QUEUES.last)
    .reduce((sum, [, , waiting = 0, , , , , queued = 0]) => sum + queued - waiting, 0);
}

for (const address of [VIP, VIP6])
  for (const says of ['no port', 'no host'] as const)
    t.test(`an ICMP error moves a flow only if it comes from its way, ${says}, ${address}`, async (t) => {
      const { kubePortal, node, client, attacker, talker, name, endpoint } = await stageFor(t, address);
      const of = (host: Host) => (address === VIP6 ? host.address6 : host.address4);
      const moves = async () => {
        const { counters } = await kubePortal.status();
        const sum = (field: 'connectFailures' | 'flowsMoved' | 'pinsMoved') =>
          counters.reduce((total, portal) => total + portal[field], 0);
        return [sum('connectFailures'), sum('flowsMoved'), sum('pinsMoved')];
      };
      const forgery = {
        says,
        // A router may say that no host is there, and only the endpoint that the port is closed.
        from: of(says === 'no host' ? attacker : endpoint),
        to: of(client),
        endpoint: of(endpoint),
        endpointPort: PORT,
        firstPort: CLIENT_PORT,
        lastPort: CLIENT_PORT,
      };
      await forge(attacker, forgery);
      await kubePortal.until(async () => (await decided(node)) === 1, 'a worker has decided');
      t.same(await moves(), [0, 0, 0], 'nobody is blamed');
      t.equal(await talker.say('1'), `${name}:1`, 'the flow stays with its pod');

      await forge(endpoint, { ...forgery, from: of(endpoint) });
      await kubePortal.until(async () => (await moves())[1] !== 0, 'the true one moves it');
    });

type Tap = Parameters<typeof Lab.forTest>[0];
