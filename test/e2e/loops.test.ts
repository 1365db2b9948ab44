import t, { type Test } from 'tap';
import type { CounterValues } from '../../lib/dataplane/counters.js';
import { startBackend } from '../lab/backend.js';
import { askUdp, HeldConnections } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, NODE_UPLINK } from '../lab/lab.js';
import { type EndpointPlace, type KubernetesObject, serviceWithPods } from '../lab/manifest.js';
import { tallies, tally } from '../lab/tally.js';

t.setTimeout(240_000);

const PORT = 80;
const NODE_PORT = 30_080;
/** The most that a packet passes through, and so a circle. */
const HOPS = 64;
const CLIENTS = 20;
const PROTOCOLS = ['TCP', 'UDP'] as const;
const DRIVERS = ['iptables', 'address'] as const;
const EXTERNAL = { address4: '198.51.100.7', address6: '2001:db8:7::7' };

interface ServiceAt extends EndpointPlace {
  readonly externalIPs?: readonly string[];
  readonly nodePort?: number;
}

/** A Service's ClusterIPs. Its VIPs may well be the endpoint of another. */
function vips(name: string, number: number): ServiceAt {
  return { name, address4: `10.96.0.${number}`, address6: `fd00:96::${number}` };
}

const WEB = vips('web', 10);

/** The Service with TCP and UDP port 80 and one endpoint of each family. */
function leadsTo(
  service: ServiceAt,
  endpoint: Omit<EndpointPlace, 'name'>,
  targetPort: number,
): KubernetesObject[] {
  const { name, address4, address6, externalIPs = [], nodePort } = service;
  const ports = PROTOCOLS.map((protocol) => ({
    name: protocol.toLowerCase(),
    protocol,
    port: PORT,
    targetPort,
    ...(nodePort !== undefined && { nodePort }),
  }));
  return serviceWithPods({ name, clusterIPs: [address4, address6], externalIPs, ports }, [
    { ...endpoint, name },
  ]);
}

/** A Service that has nothing to do with loops, and must not notice them. */
async function startWeb(lab: Lab): Promise<KubernetesObject[]> {
  const server = lab.pod('server');
  await startBackend(server, { tcp: { [PORT]: 'name' }, udp: { [PORT]: 'name' } });
  return leadsTo(WEB, server, PORT);
}

async function webIsServed(t: Test, client: Host, when: string): Promise<void> {
  const questions = [WEB.address4, WEB.address6].flatMap((address) =>
    PROTOCOLS.map((protocol) => ({ protocol, address, port: PORT, times: 4 })),
  );
  const expected = questions.map(() => ({ server: 4 }));
  t.same(await tallies(client, questions), expected, `another Service is served ${when}`);
}

for (const driver of DRIVERS) {
  t.test(`endpoints that are places of the proxy are not used, ${driver}`, async (t) => {
    const lab = await Lab.forTest(t, { pods: ['client', 'server'] });
    const client = lab.pod('client');
    const [self, ping, pong] = [vips('self', 20), vips('ping', 21), vips('pong', 22)];
    const external = { ...vips('external', 23), externalIPs: Object.values(EXTERNAL) };
    const node = { ...vips('node', 24), nodePort: NODE_PORT };
    const objects = [
      ...(await startWeb(lab)),
      ...leadsTo(self, self, PORT),
      ...leadsTo(ping, pong, PORT),
      ...leadsTo(pong, ping, PORT),
      ...leadsTo(external, EXTERNAL, PORT),
      ...leadsTo(node, NODE_UPLINK, NODE_PORT),
    ];
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect', driver] });
    for (const { name, address4, address6 } of [self, ping, pong, external, node]) {
      for (const address of [address4, address6]) {
        const tcp = await tally(client, { protocol: 'TCP', address, port: PORT, times: 2 });
        t.same(tcp, { ECONNREFUSED: 2 }, `${name}: TCP to ${address} is refused at once`);
        // The kernel answers few datagrams a second with an error (icmp_ratelimit).
        const udp = await tally(client, { protocol: 'UDP', address, port: PORT, times: 1 });
        t.match(
          Object.keys(udp).join(),
          /^(ECONNREFUSED|silence)$/,
          `${name}: UDP to ${address} is not served`,
        );
      }
      const line = kubePortal.log.find(({ msg }) => msg.startsWith(`Service default/${name}: endpoint `));
      t.match(
        line?.msg,
        /of EndpointSlice \S+, and 1 more like it, is not used: /,
        `${name}: the log tells why`,
      );
    }
    await webIsServed(t, client, 'beside them');
    const { counters } = await kubePortal.status();
    const used = counters.filter(({ connectionsTotal, flowsTotal }) => connectionsTotal + flowsTotal > 0);
    t.same([...new Set(used.map(({ service }) => service))], ['default/web'], 'and it alone has had clients');
  });
}

interface Circle {
  readonly title: string;
  /** Prepares the lab. Resolves to the kube-portals that clients of {@link LOOP} go round through. */
  readonly make: (t: Test, lab: Lab, driver: string) => Promise<KubePortal[]>;
  readonly families: readonly ('address4' | 'address6')[];
}

const LOOP = { ...vips('loop', 20), nodePort: NODE_PORT };

function start(
  t: Test,
  host: Host,
  driver: string,
  objects: readonly KubernetesObject[],
): Promise<KubePortal> {
  const flags = ['--redirect', driver, '--workers', '2', '--udp-timeout', '3s'];
  return KubePortal.forTest(t, host, { objects, flags, descriptorLimit: 8000 });
}

/** A rule of somebody else, by which the node reaches its own NodePort at an address of another network. */
async function bringBack(node: Host, command: string, address: string, nodeAddress: string): Promise<void> {
  const to = ['-j', 'DNAT', '--to', `${nodeAddress}:${NODE_PORT}`];
  for (const protocol of ['tcp', 'udp']) {
    await node.must(command, ['-w', '10', '-t', 'nat', '-A', 'OUTPUT', '-p', protocol, '-d', address, ...to]);
  }
}

const CIRCLES: readonly Circle[] = [
  {
    title: 'over a loopback address and a node port',
    make: async (t, lab, driver) => {
      const loop = leadsTo(LOOP, { address4: '127.0.0.5', address6: '::1' }, NODE_PORT);
      return [await start(t, lab.node, driver, [...(await startWeb(lab)), ...loop])];
    },
    families: ['address4'],
  },
  {
    title: "over somebody's rule",
    make: async (t, lab, driver) => {
      const far = { address4: '198.51.100.9', address6: '2001:db8:7::9' };
      await bringBack(lab.node, 'iptables', far.address4, NODE_UPLINK.address4);
      await bringBack(lab.node, 'ip6tables', far.address6, `[${NODE_UPLINK.address6}]`);
      return [await start(t, lab.node, driver, [...(await startWeb(lab)), ...leadsTo(LOOP, far, PORT)])];
    },
    families: ['address4', 'address6'],
  },
  {
    title: 'over another node',
    make: async (t, lab, driver) => [
      await start(t, lab.node, driver, [...(await startWeb(lab)), ...leadsTo(LOOP, lab.outside, NODE_PORT)]),
      await start(t, lab.outside, driver, leadsTo(LOOP, NODE_UPLINK, NODE_PORT)),
    ],
    families: ['address4', 'address6'],
  },
];

interface Totals {
  /** Connections and flows. */
  readonly open: number;
  readonly connections: number;
  readonly flows: number;
  readonly datagrams: number;
}

/** Of all that is between two Services of the circle, over all nodes. */
async function totalsOf(kubePortals: readonly KubePortal[]): Promise<Totals> {
  const reports = await Promise.all(kubePortals.map((one) => one.status()));
  const counters = reports.flatMap((report) =>
    report.counters.filter(({ service }) => service === 'default/loop'),
  );
  const sum = (field: keyof CounterValues) => counters.reduce((total, counter) => total + counter[field], 0);
  return {
    open: sum('connectionsActive') + sum('flowsActive'),
    connections: sum('connectionsTotal'),
    flows: sum('flowsTotal'),
    datagrams: sum('datagramsIn'),
  };
}

/** Clients that leave as soon as they are there: a circle could run on with the few connections between its head and its end. */
async function comeAndGo(client: Host, address: string): Promise<void> {
  const [protocol, host] = address.includes(':') ? ['TCP6', `[${address}]`] : ['TCP4', address];
  for (let n = 0; n < CLIENTS; n++) {
    await client.must('socat', ['-u', '/dev/null', `${protocol}:${host}:${PORT}`]);
  }
}

/** More than one for each socket: the second takes the way of the first. */
const DATAGRAMS = 3;

/** UDP clients that wait for answers in vain. */
async function askInVain(t: Test, client: Host, address: string): Promise<void> {
  const replies = await askUdp(client, {
    address,
    port: PORT,
    sockets: CLIENTS,
    concurrency: CLIENTS,
    times: DATAGRAMS,
    patienceMs: 300,
  });
  t.same(
    new Set(replies.flatMap(({ answers }) => answers)),
    new Set(['silence']),
    `no answer from ${address}`,
  );
}

for (const { title, make, families } of CIRCLES) {
  for (const driver of DRIVERS) {
    t.test(`what goes round ${title} ends, ${driver}`, async (t) => {
      const lab = await Lab.forTest(t, { pods: ['client', 'server'] });
      const client = lab.pod('client');
      const kubePortals = await make(t, lab, driver);
      const [first] = kubePortals as [KubePortal];
      const descriptors = kubePortals.map(({ program }) => program.descriptors());
      for (const family of families) {
        const address = LOOP[family];
        const held = HeldConnections.open(client, { address, port: PORT, connections: CLIENTS });
        await webIsServed(t, client, `while clients go round from ${address}`);
        const { answered, errors } = await held.round();
        t.equal(answered, 0);
        t.match([...new Set(errors)].join(), /^(ECONNRESET|EPIPE)/, `clients of ${address} see a reset`);
        await held.close();
        await comeAndGo(client, address);
        await askInVain(t, client, address);
      }
      await first.until(async () => (await totalsOf(kubePortals)).open === 0, 'the circles are gone');
      const { connections, flows, datagrams } = await totalsOf(kubePortals);
      const clients = CLIENTS * families.length;
      const bounds = [
        ['connections', connections, 2 * clients * HOPS],
        ['flows', flows, DATAGRAMS * clients * HOPS],
        ['datagrams', datagrams, DATAGRAMS * clients * HOPS],
      ] as const;
      for (const [what, count, most] of bounds) {
        t.ok(count > clients && count <= most, `${count} ${what} for all of them, at most ${most}`);
      }
      for (const [index, { program }] of kubePortals.entries()) {
        const before = descriptors[index] as number;
        t.ok(program.descriptors() < before + 50, 'descriptors are back, but for flows of the other Service');
      }
      const isTold = ({ log }: KubePortal) => log.some(({ msg }) => /gone through as many hops/.test(msg));
      t.ok(kubePortals.some(isTold), 'and the log tells of it');
      await webIsServed(t, client, 'afterwards');
    });
  }
}

t.test('a datagram that meets a flow of its own circle goes round no longer than others', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'server'] });
  const { node } = lab;
  // With so few local ports, a flow's socket has the port of the client that another flow belongs to.
  const ports = Array.from({ length: 40 }, (_, index) => 40_000 + index);
  await node.sysctl({ 'net/ipv4/ip_local_port_range': `${ports[0]} ${ports.at(-1)}` });
  const objects = leadsTo(LOOP, { address4: '127.0.0.5', address6: '::1' }, NODE_PORT);
  const flags = ['--redirect', 'none', '--workers', '1', '--udp-timeout', '1s'];
  const kubePortal = await KubePortal.forTest(t, node, { objects, flags });
  for (const port of ports) {
    const to = `UDP4-DATAGRAM:127.0.0.5:${NODE_PORT},bind=127.0.0.1:${port},reuseaddr`;
    await node.must('socat', ['-u', '-', to], { input: '?' });
  }
  await kubePortal.until(async () => (await totalsOf([kubePortal])).open === 0, 'the circles are gone');
  const { datagrams } = await totalsOf([kubePortal]);
  const most = HOPS * ports.length;
  t.ok(datagrams > ports.length && datagrams <= most, `${datagrams} datagrams went round, at most ${most}`);
});
