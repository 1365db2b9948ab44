import t, { type Test } from 'tap';
import type { Protocol } from '../../lib/net/protocol.js';
import { startBackend } from '../lab/backend.js';
import { HeldConnections } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { exactly, item } from '../lab/items.js';
import { KubePortal, RELAYED } from '../lab/kubeportal.js';
import { Lab, type LabOptions } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { nameIn, type Tally, tallies } from '../lab/tally.js';

t.setTimeout(0);

const NAMES = ['a', 'b', 'c'];
const NODE_PORT = 30_080;
const PORTS = [
  { name: 'tcp', protocol: 'TCP', port: 80, targetPort: 8080 },
  { name: 'udp', protocol: 'UDP', port: 53, targetPort: 5353 },
] as const;
const EVERYONE: Tally = { a: 1, b: 1, c: 1 };
const REFUSED: Tally = { ECONNREFUSED: 3 };

const DRIVERS = [
  { title: 'iptables, nft', way: ['--redirect=iptables'], options: { iptables: 'nft' } },
  { title: 'iptables, nft, relay', way: ['--redirect=iptables', RELAYED], options: { iptables: 'nft' } },
  { title: 'iptables, legacy', way: ['--redirect=iptables'], options: { iptables: 'legacy' } },
  { title: 'addresses', way: ['--redirect=address'], options: {} },
] as const;

async function labWithBackends(t: Test, options: LabOptions) {
  const lab = await Lab.forTest(t, { ...options, pods: ['client', ...NAMES] });
  // Clients learn from ICMP messages that nobody listens, and of those Linux sends one client six at once.
  await lab.node.sysctl({ 'net/ipv4/icmp_ratelimit': '0', 'net/ipv6/icmp/ratelimit': '0' });
  const pods = NAMES.map((name) => lab.pod(name));
  for (const pod of pods) await startBackend(pod, { tcp: { 8080: 'name' }, udp: { 5353: 'name' } });
  return { lab, pods, client: lab.pod('client') };
}

/** Asks both protocols at each address three times. */
function ask(host: Host, addresses: readonly string[], port?: number): Promise<Tally[]> {
  return tallies(
    host,
    addresses.flatMap((address) =>
      PORTS.map((own) => ({ ...own, address, times: 3, ...(port && { port }) })),
    ),
  );
}

/** Whether a VIP is redirected. A client that comes earlier is served with its second try only. */
async function isRedirected(kubePortal: KubePortal, address: string): Promise<boolean> {
  const { portals } = await kubePortal.status();
  const own = portals.filter(({ vips }) => vips.some((vip) => vip.address === address));
  return own.length > 0 && own.every(({ state }) => state !== 'pending');
}

/** Polls until clients of a VIP meet these, on both ports: pods, or the one error. */
function untilMet(
  kubePortal: KubePortal,
  host: Host,
  address: string,
  wanted: readonly string[],
): Promise<void> {
  return kubePortal.until(async () => {
    if (!(await isRedirected(kubePortal, address))) return false;
    const results = await ask(host, [address]);
    return results.every((tally) => Object.keys(tally).join() === wanted.join());
  }, `clients of ${address} meet ${wanted}`);
}

for (const { title, way, options } of DRIVERS) {
  t.test(`a Service without endpoints refuses its clients at once, ${title}`, async (t) => {
    const { lab, pods, client } = await labWithBackends(t, options);
    const vips = ['10.96.0.10', 'fd00:96::10', '198.51.100.7'];
    const service = {
      name: 'echo',
      clusterIPs: vips.slice(0, 2),
      externalIPs: vips.slice(2),
      ports: PORTS.map((port) => ({ ...port, nodePort: NODE_PORT })),
    };
    const flags = [...way, '--workers=2'];
    const objects = serviceWithPods(service, []);
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
    const states = async () => (await kubePortal.status()).portals.map(({ state }) => state);
    t.same(await states(), new Array(4).fill('no-endpoints'));
    for (const host of [client, lab.node]) {
      const places = vips.length * PORTS.length;
      t.same(await ask(host, vips), new Array(places).fill(REFUSED), `VIPs from ${host.name}`);
      const nodePorts = await ask(host, [lab.node.address4], NODE_PORT);
      t.same(nodePorts, [REFUSED, REFUSED], `NodePorts from ${host.name}`);
    }

    kubePortal.setManifest(serviceWithPods(service, pods));
    await untilMet(kubePortal, client, item(vips, 1), NAMES);
    t.same(await states(), new Array(4).fill('serving'));
    t.same(await ask(client, vips), new Array(vips.length * PORTS.length).fill(EVERYONE), 'served');
    t.same(await ask(client, [lab.node.address4], NODE_PORT), [EVERYONE, EVERYONE], 'NodePorts too');

    kubePortal.setManifest(objects);
    await untilMet(kubePortal, lab.node, item(vips, 1), Object.keys(REFUSED));
    t.same(await ask(lab.node, vips), new Array(vips.length * PORTS.length).fill(REFUSED), 'refused again');
  });
}

/** One connection, or flow, for each endpoint. Resolves to a question to all of them: who answers? */
async function holdOpen(t: Test, host: Host, protocol: Protocol, address: string) {
  const port = protocol === 'TCP' ? 80 : 53;
  const held = HeldConnections.open(host, { protocol, address, port, connections: 3, listAnswers: true });
  const names = async () => ((await held.round()).answers ?? []).map(nameIn);
  const first = await names();
  t.same([...first].sort(), NAMES, `${protocol} ${address}: one each`);
  return { first, names };
}

/** The inodes of all listening sockets: a socket that was opened anew has another. */
async function listeners(node: Host): Promise<string[]> {
  const lines = (await node.must('ss', ['-Hlnute'])).split('\n');
  return lines.flatMap((line) => /ino:\d+/.exec(line)?.[0] ?? []).sort();
}

for (const { title, way, options } of DRIVERS) {
  t.test(`a change affects only what it changes, ${title}`, async (t) => {
    const { lab, pods, client } = await labWithBackends(t, options);
    const steady = { name: 'steady', clusterIPs: ['10.96.0.10', 'fd00:96::10'], ports: PORTS };
    const changing = { name: 'changing', clusterIPs: ['10.96.0.20', 'fd00:96::20'], ports: PORTS };
    const late = { name: 'late', clusterIPs: ['10.96.0.30'], ports: PORTS };
    const kubePortal = await KubePortal.forTest(t, lab.node, {
      objects: serviceWithPods(steady, pods),
      flags: [...way, '--workers=2'],
    });
    const [vip4, vip6] = exactly(2, steady.clusterIPs);
    const steadyListeners = await listeners(lab.node);
    const untouched = [
      await holdOpen(t, client, 'TCP', vip4),
      await holdOpen(t, client, 'TCP', vip6),
      await holdOpen(t, client, 'UDP', vip4),
    ];
    const expectUntouched = async (when: string) => {
      for (const { first, names } of untouched) t.same(await names(), first, `as before, ${when}`);
      const now = await listeners(lab.node);
      t.same(
        steadyListeners.filter((inode) => !now.includes(inode)),
        [],
        `same listeners, ${when}`,
      );
    };

    kubePortal.setManifest([...serviceWithPods(steady, pods), ...serviceWithPods(changing, pods)]);
    await untilMet(kubePortal, client, item(changing.clusterIPs, 0), NAMES);
    await expectUntouched('with another Service');
    const connections = await holdOpen(t, client, 'TCP', item(changing.clusterIPs, 0));
    const flows = await holdOpen(t, client, 'UDP', item(changing.clusterIPs, 0));
    const allListeners = await listeners(lab.node);

    kubePortal.setManifest([
      ...serviceWithPods(steady, pods),
      ...serviceWithPods(changing, pods.slice(0, 2)),
    ]);
    for (const vip of changing.clusterIPs) await untilMet(kubePortal, client, vip, ['a', 'b']);
    await expectUntouched('with an endpoint less in the other Service');
    t.same(await listeners(lab.node), allListeners, 'no listener was opened or closed');
    t.same(await connections.names(), connections.first, 'open connections stay where they are');
    for (const [i, name] of (await flows.names()).entries()) {
      if (flows.first[i] === 'c') t.match(name, /^[ab]$/, 'the flow of the removed endpoint has moved');
      else t.equal(name, flows.first[i], 'a flow of another endpoint has not');
    }

    kubePortal.setManifest([...serviceWithPods(steady, pods), ...serviceWithPods(late, pods.slice(0, 1))]);
    await untilMet(kubePortal, client, item(late.clusterIPs, 0), ['a']);
    await expectUntouched('with one Service gone and another there');
    t.same((await kubePortal.status()).portals.map(({ service }) => service).sort(), [
      'default/late',
      'default/late',
      ...new Array(4).fill('default/steady'),
    ]);
  });
}
