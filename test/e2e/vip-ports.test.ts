import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import type { Host } from '../lab/host.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, NODE_UPLINK } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { notMachineRoot } from '../lab/rights.js';
import { VIPS, WEB_PORTS } from '../lab/services.js';
import { type Tally, tallies } from '../lab/tally.js';

t.setTimeout(0);

/** What a program of the node has on all of its addresses, both protocols. */
const NODES_PORT = 22;

/** A Service that pod a serves, on a node with a program of its own. */
async function setUp(t: Test) {
  const lab = await Lab.forTest(t, { pods: ['client', 'a'] });
  await startBackend(lab.pod('a'), { tcp: { 8080: 'name' }, udp: { 8080: 'name' } });
  await startBackend(lab.node, { tcp: { [NODES_PORT]: 'name' }, udp: { [NODES_PORT]: 'name' } });
  // Clients learn from ICMP messages that nobody listens, and of those Linux sends one client six at once.
  await lab.node.sysctl({ 'net/ipv4/icmp_ratelimit': '0', 'net/ipv6/icmp/ratelimit': '0' });
  const web = (pods: readonly Host[] = [lab.pod('a')], externalIPs: readonly string[] = []) =>
    serviceWithPods({ name: 'web', clusterIPs: VIPS, externalIPs, ports: WEB_PORTS }, pods);
  return { lab, web };
}

/** Asks both protocols of each address twice. */
async function areAnswered(
  t: Test,
  host: Host,
  addresses: readonly string[],
  port: number,
  as: Tally,
): Promise<void> {
  const places = addresses.flatMap((address) =>
    WEB_PORTS.map(({ protocol }) => ({ protocol, address, port, times: 2 })),
  );
  const results = await tallies(host, places);
  for (const [i, { protocol, address }] of places.entries()) {
    t.same(results[i], as, `${protocol} ${address} ${port} from ${host.name}`);
  }
}

const REFUSED: Tally = { ECONNREFUSED: 2 };

/** The answer to a datagram from a socket that hears everybody. */
async function askUnconnected(host: Host, address: string): Promise<string> {
  const script = `
    const socket = require('node:dgram').createSocket('${address.includes(':') ? 'udp6' : 'udp4'}');
    const ask = () => socket.send('?', 80, '${address}');
    const again = setInterval(ask, 500);
    socket.once('message', (answer) => {
      console.log(String(answer));
      clearInterval(again);
      socket.close();
    });
    ask();`;
  return (await host.must(process.execPath, ['-e', script])).trim();
}

t.test('clients of a VIP reach only its Service', { skip: notMachineRoot }, async (t) => {
  const { lab, web } = await setUp(t);
  const flags = ['--redirect=address', '--workers=2'];
  const external = NODE_UPLINK.address4;
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: web([lab.pod('a')], [external]),
    flags,
  });
  t.same((await kubePortal.status()).problems, []);
  for (const host of [lab.pod('client'), lab.outside, lab.node]) {
    await areAnswered(t, host, VIPS, 80, { a: 2 });
    await areAnswered(t, host, VIPS, NODES_PORT, REFUSED);
    await areAnswered(t, host, VIPS, 10_256, REFUSED);
    await areAnswered(t, host, [external], 80, { a: 2 });
    const [tcp] = await tallies(host, [{ protocol: 'TCP', address: external, port: NODES_PORT, times: 2 }]);
    t.same(tcp, { node: 2 }, `an address of the node is not only a VIP, from ${host.name}`);
  }

  await t.test("the node's own programs may ask by UDP without a connection", async (t) => {
    for (const address of VIPS) t.equal(await askUnconnected(lab.node, address), 'a:?', address);
  });

  await t.test('without endpoints, clients do not reach a program of the node', async (t) => {
    kubePortal.setManifest(web([]));
    const isEmpty = async () =>
      (await kubePortal.status()).portals.every(({ state }) => state === 'no-endpoints');
    await kubePortal.until(isEmpty, 'the endpoints have gone');
    const holder = await startBackend(lab.node, { tcp: { 80: 'name' }, udp: { 80: 'name' } });
    await areAnswered(t, lab.pod('client'), VIPS, 80, REFUSED);
    await holder.stop('SIGKILL');
    kubePortal.setManifest(web());
    const isBack = async () => (await kubePortal.status()).portals.every(({ state }) => state === 'serving');
    await kubePortal.until(isBack, 'they are back');
    await areAnswered(t, lab.pod('client'), VIPS, 80, { a: 2 });
  });

  await t.test('after a restart, clients of a VIP still reach only its Service', async (t) => {
    await kubePortal.kill9();
    await kubePortal.startAgain();
    await areAnswered(t, lab.pod('client'), VIPS, 80, { a: 2 });
    await areAnswered(t, lab.pod('client'), VIPS, NODES_PORT, REFUSED);
  });

  t.equal(await kubePortal.stop(), 0);
  await areAnswered(t, lab.outside, [NODE_UPLINK.address4, NODE_UPLINK.address6], NODES_PORT, { node: 2 });
});

t.test('on a kernel that cannot refuse, the conflict is reported', async (t) => {
  const { lab, web } = await setUp(t);
  const flags = ['--redirect=address', '--workers=2', '--iptables-sync-period=1s'];
  const kubePortal = KubePortal.launch(lab.node, {
    objects: web(),
    flags,
    launcher: ['setpriv', '--bounding-set=-bpf,-sys_admin', '--inh-caps=-bpf,-sys_admin'],
  });
  t.teardown(() => kubePortal.dispose());
  await kubePortal.ready();
  await areAnswered(t, lab.pod('client'), VIPS, 80, { a: 2 });
  const message =
    /^clients of VIPs also reach the programs that listen on all addresses of this node \(TCP 22\b.*; UDP 22\): .*\(bpf \w+: EPERM\).* Linux 5\.9 .* BPF and NET_ADMIN/;
  t.match((await kubePortal.status()).problems, [message]);
  t.equal(
    kubePortal.log.filter(({ msg, level }) => level === 40 && message.test(msg)).length,
    1,
    'said once',
  );
  const printed = await lab.node.must(process.execPath, ['bin/kube-portal', 'status']);
  t.match(printed, /^problem: clients of VIPs also reach .*TCP 22/m);
});
