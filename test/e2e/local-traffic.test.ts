import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import { WAYS } from '../lab/carriers.js';
import { askEach, type TcpReply, type UdpReply } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, NODE_UPLINK } from '../lab/lab.js';
import { type KubernetesObject, serviceAcrossNodes } from '../lab/manifest.js';
import { count, nameIn } from '../lab/tally.js';

/**
 * Load balancers with externalTrafficPolicy Local: health checks, and affinity for clients from inside and
 * outside.
 */
t.setTimeout(0);

const HEALTH_PORT = 32_000;
const TCP = { name: 'tcp', protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30_080 } as const;
const UDP = { name: 'udp', protocol: 'UDP', port: 53, targetPort: 5353, nodePort: 30_053 } as const;
const SERVICE = {
  name: 'web',
  clusterIPs: ['10.96.0.10', 'fd00:96::10'],
  ingressIPs: ['203.0.113.20', '2001:db8:20::20'],
  ports: [TCP, UDP],
  affinity: true,
  spec: { externalTrafficPolicy: 'Local', healthCheckNodePort: HEALTH_PORT },
};
const FLAGS = ['--cluster-cidr=10.244.0.0/16,fd00:244::/64', '--hostname-override=node', '--workers=4'];

interface Stage {
  readonly lab: Lab;
  readonly kubePortal: KubePortal;
  objects(local: readonly string[], remote: readonly string[]): KubernetesObject[];
}

async function stageFor(
  t: Test,
  way: readonly string[],
  local: readonly string[],
  remote: readonly string[],
) {
  const pods = [...local, ...remote];
  const lab = await Lab.forTest(t, { pods: ['client', ...pods] });
  for (const name of pods) {
    await startBackend(lab.pod(name), { tcp: { 8080: 'name' }, udp: { 5353: 'name' } });
  }
  const hosts = (names: readonly string[]): Host[] => names.map((name) => lab.pod(name));
  const objects: Stage['objects'] = (here, there) => serviceAcrossNodes(SERVICE, hosts(here), hosts(there));
  const flags = [...way, ...FLAGS];
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects: objects(local, remote), flags });
  return { lab, kubePortal, objects };
}

t.test('the health-check node port answers 200 with local endpoints and 503 without', async (t) => {
  const { lab, kubePortal, objects } = await stageFor(t, ['--redirect=none'], ['here', 'too'], ['there']);
  const check = async (address: string) => {
    const url = `http://${address}:${HEALTH_PORT}/healthz`;
    const text = await lab.outside.must('curl', ['--silent', '--write-out', ' %{http_code}', url]);
    const [body, code] = text.split(/\s+(?=\d+$)/);
    return { code: Number(code), ...(JSON.parse(body!) as { localEndpoints: number }) };
  };
  const answer = (code: number, localEndpoints: number) => ({
    code,
    service: { namespace: 'default', name: 'web' },
    localEndpoints,
    serviceProxyHealthy: true,
  });
  const addresses = [NODE_UPLINK.address4, `[${NODE_UPLINK.address6}]`];
  const expectEverywhere = async (code: number, localEndpoints: number) => {
    await kubePortal.until(
      async () => (await check(addresses[0]!)).localEndpoints === localEndpoints,
      `${localEndpoints} local endpoints are counted`,
    );
    for (const address of addresses) t.same(await check(address), answer(code, localEndpoints), address);
  };
  await expectEverywhere(200, 2);
  kubePortal.setManifest(objects([], ['here', 'too', 'there']));
  await expectEverywhere(503, 0);
  kubePortal.setManifest(objects(['here'], ['too', 'there']));
  await expectEverywhere(200, 1);
});

/** The pod that a client meets on all ports of an address, in three conversations on each. */
async function homes(
  t: Test,
  client: Host,
  address: string,
  { sources, ports = [TCP.port, UDP.port] }: { sources: readonly string[]; ports?: readonly number[] },
): Promise<string[]> {
  const [port, udpPort] = ports as [number, number];
  const replies = await askEach(client, [
    { what: 'udp', address, port: udpPort, sources, sockets: 3 },
    { what: 'tcp', address, port, sources, times: 3, send: '?' },
  ]);
  const met = new Map(sources.map((source) => [source, new Set<string>()]));
  for (const reply of replies.flat() as (TcpReply | UdpReply)[]) {
    const answer = 'answers' in reply ? item(reply.answers, 0) : reply.text || reply.outcome;
    met.get(reply.source)?.add(nameIn(answer));
  }
  const scattered = [...met.values()].filter((pods) => pods.size !== 1).map((pods) => [...pods]);
  t.same(scattered, [], `each client of ${address} meets one pod, from ${client.name}`);
  return [...met.values()].map(([pod]) => pod!);
}

for (const way of WAYS) {
  t.test(`a client keeps one pod on all ports, inside and outside, ${way.join(' ')}`, async (t) => {
    const { lab } = await stageFor(t, way, ['a', 'b'], ['c', 'd']);
    const client = lab.pod('client');
    for (const family of ['IPv4', 'IPv6'] as const) {
      const index = family === 'IPv4' ? 0 : 1;
      const own = [lab.outside.address4, lab.outside.address6][index]!;
      const node = [NODE_UPLINK.address4, NODE_UPLINK.address6][index]!;
      const ingressIP = SERVICE.ingressIPs[index]!;
      const clusterIP = SERVICE.clusterIPs[index]!;

      const [home] = await homes(t, lab.outside, ingressIP, { sources: [own] });
      t.match(home, /^[ab]$/, 'an outsider meets a local pod');
      const nodePorts = [TCP.nodePort, UDP.nodePort];
      t.same(
        await homes(t, lab.outside, node, { sources: [own], ports: nodePorts }),
        [home],
        'NodePorts too',
      );

      const sources = await client.addAddresses(12, family);
      const inside = await homes(t, client, clusterIP, { sources });
      t.same(count(inside), { a: 3, b: 3, c: 3, d: 3 }, 'pods are shared out over all endpoints');
      t.same(await homes(t, client, ingressIP, { sources }), inside, 'and meet the same on the way around');
    }
  });
}
