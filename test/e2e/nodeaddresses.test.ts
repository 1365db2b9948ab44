import t, { type Test } from 'tap';
import type { Family } from '../../lib/net/address.js';
import type { Protocol } from '../../lib/net/protocol.js';
import { startBackend } from '../lab/backend.js';
import type { Host } from '../lab/host.js';
import { exactly, item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type LabOptions, NODE_UPLINK } from '../lab/lab.js';
import { type KubernetesObject, serviceWithPods } from '../lab/manifest.js';
import { type Tally, tallies } from '../lab/tally.js';

t.setTimeout(0);

const NODE_PORT = 30_080;
const PORTS = [
  { name: 'tcp', protocol: 'TCP', port: 80, targetPort: 8080, nodePort: NODE_PORT },
  { name: 'udp', protocol: 'UDP', port: 53, targetPort: 5353, nodePort: NODE_PORT },
] as const;
// The node's own address is among the external IPs, as it may well be.
const EXTERNAL_IPS = ['198.51.100.7', '2001:db8:7::7', NODE_UPLINK.address4];
const INGRESS_IPS = ['203.0.113.9', '2001:db8:9::9'];
const SERVICE = {
  name: 'echo',
  clusterIPs: ['10.96.0.10', 'fd00:96::10'],
  externalIPs: EXTERNAL_IPS,
  ingressIPs: INGRESS_IPS,
  ports: PORTS,
};
/** Two questions and two answers. UDP clients accept an answer only from the address that they asked. */
const SERVED: Tally = { a: 1, b: 1 };
const REFUSED: Tally = { ECONNREFUSED: 2 };

const DRIVERS = [
  { title: 'iptables, nft', redirect: 'iptables', lab: { iptables: 'nft' } },
  { title: 'iptables, legacy', redirect: 'iptables', lab: { iptables: 'legacy' } },
  { title: 'addresses', redirect: 'address', lab: {} },
] as const;

interface Stage {
  readonly lab: Lab;
  readonly objects: readonly KubernetesObject[];
  readonly nodeAddresses: readonly string[];
}

async function stageFor(t: Test, options: LabOptions): Promise<Stage> {
  const lab = await Lab.forTest(t, { ...options, pods: ['client', 'a', 'b'] });
  const pods = [lab.pod('a'), lab.pod('b')];
  for (const pod of pods) await startBackend(pod, { tcp: { 8080: 'name' }, udp: { 5353: 'name' } });
  const { address4, address6 } = lab.node;
  return {
    lab,
    objects: serviceWithPods(SERVICE, pods),
    nodeAddresses: [address4, address6, NODE_UPLINK.address4, NODE_UPLINK.address6],
  };
}

interface Place {
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
}

/** Both protocols at an address. */
const everyPort = (address: string): Place[] =>
  PORTS.map(({ protocol, port }) => ({ protocol, address, port }));
const nodePorts = (address: string): Place[] =>
  PORTS.map(({ protocol }) => ({ protocol, address, port: NODE_PORT }));

/** Asks each place twice. */
async function expectEach(t: Test, host: Host, places: readonly Place[], expected: Tally): Promise<void> {
  const results = await tallies(
    host,
    places.map((place) => ({ ...place, times: 2 })),
  );
  for (const [i, { protocol, address, port }] of places.entries()) {
    t.same(results[i], expected, `${protocol} ${address} ${port} from ${host.name}`);
  }
}

const addressesOf = (host: Host) => host.must('ip', ['-o', 'addr', 'show']);

for (const { title, redirect, lab: options } of DRIVERS) {
  t.test(`external, ingress and node addresses with ${title}`, async (t) => {
    const { lab, objects, nodeAddresses } = await stageFor(t, options);
    const addressesBefore = await addressesOf(lab.node);
    const flags = ['--redirect', redirect, '--workers', '2'];
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });

    const vips = [...EXTERNAL_IPS, ...INGRESS_IPS].flatMap(everyPort);
    await expectEach(t, lab.outside, [...vips, ...nodeAddresses.flatMap(nodePorts)], SERVED);
    await expectEach(t, lab.pod('client'), [...vips, ...nodeAddresses.flatMap(nodePorts)], SERVED);
    const local = [...nodeAddresses, '127.0.0.1', '::1'].flatMap(nodePorts);
    await expectEach(t, lab.node, [...vips, ...local], SERVED);
    const notOurs = { protocol: 'TCP', address: NODE_UPLINK.address4, port: 81 } as const;
    await expectEach(t, lab.outside, [notOurs], REFUSED);

    t.equal(await kubePortal.stop(), 0);
    t.equal(await addressesOf(lab.node), addressesBefore, 'the node has the addresses that it had');
  });
}

for (const flags of [
  ['--nodeport-addresses', '192.0.2.0/24,fd00:2::/64'],
  [
    '--nodeport-addresses=primary',
    ...[NODE_UPLINK.address4, NODE_UPLINK.address6].map((a) => `--bind-address=${a}`),
  ],
]) {
  t.test(`NodePorts on chosen node addresses: ${flags.join(' ')}`, async (t) => {
    const { lab, objects, nodeAddresses } = await stageFor(t, {});
    await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect', 'none', ...flags] });
    const [bridge4, bridge6, uplink4, uplink6] = exactly(4, nodeAddresses);
    await expectEach(t, lab.outside, [uplink4, uplink6].flatMap(nodePorts), SERVED);
    await expectEach(t, lab.outside, [bridge4, bridge6].flatMap(nodePorts), REFUSED);
    await expectEach(t, lab.node, ['127.0.0.1', '::1'].flatMap(nodePorts), REFUSED);
  });
}

for (const iptables of ['nft', 'legacy'] as const) {
  t.test(`proxy ports are for redirected clients only, ${iptables}`, async (t) => {
    const { lab, objects } = await stageFor(t, { iptables });
    const flags = ['--redirect', 'iptables', '--workers', '2'];
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
    const guarded = kubePortal.log.every(({ guard }) => guard !== null);
    const { portals } = await kubePortal.status();
    t.equal(portals.length, 4);
    const ways: [Host, Record<Family, string>][] = [
      [lab.pod('client'), { IPv4: lab.node.address4, IPv6: lab.node.address6 }],
      [lab.outside, { IPv4: NODE_UPLINK.address4, IPv6: NODE_UPLINK.address6 }],
      [lab.node, { IPv4: '127.0.0.1', IPv6: '::1' }],
    ];
    for (const [host, addresses] of ways) {
      const direct = portals.map(({ protocol, family, proxyPort }) => ({
        protocol,
        address: addresses[family],
        port: proxyPort as number,
        times: 2,
      }));
      const results = await tallies(host, direct);
      for (const [i, { protocol, address }] of direct.entries()) {
        const about = `${protocol} ${address}, directly from ${host.name}`;
        if (protocol === 'TCP') t.match(Object.keys(item(results, i)).join(), /^(ECONNRESET|EPIPE)$/, about);
        else if (guarded) t.same(results[i], REFUSED, about);
      }
      const redirected = portals.map(({ protocol, vips }) => ({ protocol, ...item(vips, 0) }));
      await expectEach(t, host, redirected, SERVED);
    }
  });
}
