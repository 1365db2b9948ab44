import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { askTcp, askUdp } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';

t.setTimeout(0);

const VIPS = ['10.96.0.10', 'fd00:96::10'];
const PORTS = [
  { name: 'tcp', protocol: 'TCP', port: 80, targetPort: 8080 },
  { name: 'udp', protocol: 'UDP', port: 53, targetPort: 5353 },
] as const;

/** Whether the node tracks unanswered packets to the VIP: of each protocol, one flow for each client. */
async function areWaiting(node: Host, vip: string, clients: number): Promise<boolean> {
  const family = vip.includes(':') ? 'ipv6' : 'ipv4';
  const flows = await node.exec('conntrack', ['-L', '-f', family, '-d', vip]);
  const unanswered = (protocol: string) =>
    flows.stdout.match(new RegExp(`^${protocol}.*UNREPLIED`, 'gm'))?.length ?? 0;
  return ['tcp', 'udp'].every((protocol) => unanswered(protocol) >= clients);
}

for (const iptables of ['nft', 'legacy'] as const) {
  t.test(`clients that come before their Service are served soon after it, ${iptables}`, async (t) => {
    const lab = await Lab.forTest(t, { iptables, pods: ['client', 'server'] });
    // As long as nobody serves the VIPs, what is sent to them vanishes.
    await lab.outside.ip('route add blackhole 10.96.0.0/16\nroute add blackhole fd00:96::/64');
    const server = lab.pod('server');
    await startBackend(server, { tcp: { 8080: 'name' }, udp: { 5353: 'name' } });
    const other = serviceWithPods(
      { name: 'other', clusterIPs: ['10.96.0.99', 'fd00:96::99'], ports: PORTS },
      [server],
    );
    const flags = ['--redirect', 'iptables', '--workers', '2'];
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects: other, flags });

    const hosts = [lab.pod('client'), lab.node];
    const clients = hosts.flatMap((client) =>
      VIPS.map((address) => ({
        where: `${address} from ${client.name}`,
        connected: askTcp(client, { address, port: 80, send: '?' }),
        // One socket that sends five times a second, for half a minute at most.
        heard: askUdp(client, { address, port: 53, times: 150, patienceMs: 200 }),
      })),
    );
    for (const vip of VIPS) {
      const haveCome = () => areWaiting(lab.node, vip, hosts.length);
      await kubePortal.until(haveCome, `clients wait at ${vip}`);
    }
    kubePortal.setManifest([
      ...other,
      ...serviceWithPods({ name: 'late', clusterIPs: VIPS, ports: PORTS }, [server]),
    ]);
    for (const { where, connected, heard } of clients) {
      t.match(await connected, [{ text: 'server:?', outcome: 'answer' }], `TCP ${where}`);
      const { answers } = item(await heard, 0);
      t.equal(answers.at(-1), 'server:?', `UDP ${where}`);
      t.ok(answers.includes('silence'), `UDP ${where}: it really came before`);
    }
  });
}
