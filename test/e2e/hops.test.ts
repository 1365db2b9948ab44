import t, { type Test } from 'tap';
import type { CounterValues } from '../../lib/dataplane/shared/counters.js';
import { askUdp, HeldConnections } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { KubePortal, RELAYED } from '../lab/kubeportal.js';
import { Lab, NODE_UPLINK } from '../lab/lab.js';
import { type EndpointPlace, type KubernetesObject, serviceWithPods } from '../lab/manifest.js';
import { leadsTo, NODE_PORT, PORT, PROTOCOLS, startWeb, vips, webIsServed } from './loops.js';

t.setTimeout(0);

/** The most that a packet passes through, and so a circle. */
const HOPS = 64;
const CLIENTS = 20;

interface Circle {
  readonly title: string;
  /** Prepares the lab. Resolves to the kube-portals that clients of {@link LOOP} go round through. */
  readonly make: (t: Test, lab: Lab, flags: readonly string[]) => Promise<KubePortal[]>;
  readonly families: readonly ('address4' | 'address6')[];
  readonly drivers: readonly string[];
  /** Whether workers probe an endpoint that has not answered for a second: probes go round, too. */
  readonly isProbed?: boolean;
}

const LOOP = { ...vips('loop', 20), nodePort: NODE_PORT };

function start(
  t: Test,
  host: Host,
  flags: readonly string[],
  objects: readonly KubernetesObject[],
): Promise<KubePortal> {
  const all = [...flags, '--workers', '2', '--udp-timeout', '3s'];
  return KubePortal.forTest(t, host, { objects, flags: all, descriptorLimit: 8000 });
}

/** A rule of somebody else, by which the node reaches its own NodePort at an address of another network. */
async function bringBack(node: Host, command: string, address: string, nodeAddress: string): Promise<void> {
  const to = ['-j', 'DNAT', '--to', `${nodeAddress}:${NODE_PORT}`];
  for (const protocol of ['tcp', 'udp']) {
    await node.must(command, ['-w', '10', '-t', 'nat', '-A', 'OUTPUT', '-p', protocol, '-d', address, ...to]);
  }
}

async function overAnotherNode(t: Test, lab: Lab, flags: readonly string[]): Promise<KubePortal[]> {
  return [
    await start(t, lab.node, flags, [...(await startWeb(lab)), ...leadsTo(LOOP, lab.outside, NODE_PORT)]),
    await start(t, lab.outside, flags, leadsTo(LOOP, NODE_UPLINK, NODE_PORT)),
  ];
}

const CIRCLES: readonly Circle[] = [
  {
    title: 'over a loopback address and a node port',
    make: async (t, lab, flags) => {
      const loop = leadsTo(LOOP, { address4: '127.0.0.5', address6: '::1' }, NODE_PORT);
      return [await start(t, lab.node, flags, [...(await startWeb(lab)), ...loop])];
    },
    families: ['address4'],
    drivers: ['iptables', 'address'],
  },
  {
    title: "over somebody's rule",
    make: async (t, lab, flags) => {
      const far = { address4: '198.51.100.9', address6: '2001:db8:7::9' };
      await bringBack(lab.node, 'iptables', far.address4, NODE_UPLINK.address4);
      await bringBack(lab.node, 'ip6tables', far.address6, `[${NODE_UPLINK.address6}]`);
      // The rule is for what the node itself sends: what the kernel carries does not meet it.
      const relayed = [...flags, RELAYED];
      return [await start(t, lab.node, relayed, [...(await startWeb(lab)), ...leadsTo(LOOP, far, PORT)])];
    },
    families: ['address4', 'address6'],
    drivers: ['iptables'],
  },
  {
    title: 'over another node',
    make: (t, lab, flags) => overAnotherNode(t, lab, [...flags, RELAYED]),
    families: ['address4', 'address6'],
    drivers: ['iptables', 'address'],
  },
  {
    title: 'over another node, with the kernel carrier',
    make: (t, lab, flags) => overAnotherNode(t, lab, [...flags, '--carrier=kernel']),
    families: ['address4', 'address6'],
    drivers: ['iptables'],
    isProbed: true,
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

/**
 * Clients that close at once. The few connections between a circle's head and its end could go on for ever.
 */
async function comeAndGo(client: Host, address: string): Promise<void> {
  const once = `exec 3<>/dev/tcp/${address}/${PORT}; exec 3>&-`;
  await client.must('bash', ['-ec', `for n in {1..${CLIENTS}}; do ${once}; done`]);
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

for (const { title, make, families, drivers, isProbed } of CIRCLES) {
  for (const driver of drivers) {
    t.test(`traffic in a circle ends, ${title}, ${driver}`, async (t) => {
      const lab = await Lab.forTest(t, { pods: ['client', 'server'] });
      const client = lab.pod('client');
      const kubePortals = await make(t, lab, ['--redirect', driver]);
      const [first] = kubePortals as [KubePortal];
      const descriptors = kubePortals.map(({ program }) => program.descriptors());
      const addresses = families.map((family) => LOOP[family]);
      const crowds = addresses.map((address) =>
        HeldConnections.open(client, { address, port: PORT, connections: CLIENTS }),
      );
      await webIsServed(t, client, 'while clients go round');
      for (const [index, crowd] of crowds.entries()) {
        const { answered, errors } = await crowd.round();
        t.equal(answered, 0);
        t.match(
          [...new Set(errors)].join(),
          /^(ECONNRESET|EPIPE)/,
          `clients of ${addresses[index]} see a reset`,
        );
        await crowd.close();
      }
      for (const address of addresses) await comeAndGo(client, address);
      for (const address of addresses) await askInVain(t, client, address);
      await first.until(async () => (await totalsOf(kubePortals)).open === 0, 'the circles are gone');
      const { connections, flows, datagrams } = await totalsOf(kubePortals);
      const clients = CLIENTS * families.length;
      const bounds = [
        ['connections', connections, isProbed ? Number.POSITIVE_INFINITY : 2 * clients * HOPS],
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

t.test('a datagram that meets a flow of its own circle ends like others', async (t) => {
  const { node } = await Lab.forTest(t);
  // With so few local ports, a flow's socket has the port of the client that another flow belongs to.
  const ports = Array.from({ length: 16 }, (_, index) => 40_000 + index);
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

for (const driver of ['iptables', 'none']) {
  t.test(`an endpoint that is the Service's own proxy port makes no endless circle, ${driver}`, async (t) => {
    const lab = await Lab.forTest(t, { pods: ['client', 'server'] });
    const [client, server] = [lab.pod('client'), lab.pod('server')];
    const objects = (place: EndpointPlace, targetPorts: readonly number[]) => {
      const ports = PROTOCOLS.map((protocol, index) => ({
        name: protocol.toLowerCase(),
        protocol,
        port: PORT,
        targetPort: targetPorts[index] as number,
      }));
      return serviceWithPods({ name: LOOP.name, clusterIPs: [LOOP.address4], ports }, [place]);
    };
    const kubePortal = await start(t, lab.node, ['--redirect', driver], objects(server, [PORT, PORT]));
    const { portals } = await kubePortal.status();
    const proxyPorts = PROTOCOLS.map(
      (wanted) => portals.find(({ protocol }) => protocol === wanted)?.proxyPort as number,
    );
    kubePortal.setManifest(objects(lab.node, proxyPorts));
    const endpoint = `${lab.node.address4}:${proxyPorts[0]}`;
    const isThere = async () => (await kubePortal.status()).portals[0]?.endpoints[0] === endpoint;
    await kubePortal.until(isThere, 'the Service has its own proxy port as endpoint');

    const { address4: address } = driver === 'none' ? lab.node : LOOP;
    const [tcp, udp] = driver === 'none' ? (proxyPorts as [number, number]) : [PORT, PORT];
    const crowd = HeldConnections.open(client, { address, port: tcp, connections: CLIENTS });
    const { answered, errors } = await crowd.round();
    t.equal(answered, 0);
    t.match([...new Set(errors)].join(), /^(ECONNRESET|EPIPE)/, 'clients see a reset');
    await crowd.close();
    const datagram = { address, port: udp, sockets: CLIENTS, concurrency: CLIENTS, patienceMs: 300 };
    const answers = (await askUdp(client, datagram)).flatMap((reply) => reply.answers);
    t.match([...new Set(answers)].join(), /^(silence|ECONNREFUSED|,)+$/, 'datagrams have no answer');
    await kubePortal.until(async () => (await totalsOf([kubePortal])).open === 0, 'the circle is gone');
    const { connections, flows, datagrams } = await totalsOf([kubePortal]);
    const most = HOPS * CLIENTS;
    t.ok(connections >= CLIENTS && connections <= most, `${connections} connections, at most ${most}`);
    t.ok(flows >= CLIENTS && datagrams <= most, `${datagrams} datagrams of ${flows} flows, at most ${most}`);
  });
}
