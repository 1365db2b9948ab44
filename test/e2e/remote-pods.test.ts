import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { askUdp } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, NODE_UPLINK } from '../lab/lab.js';
import { serviceAcrossNodes } from '../lab/manifest.js';
import { nameIn } from '../lab/tally.js';

/**
 * externalTrafficPolicy Local, if --cluster-cidr has the pods of all nodes and pods come with their own
 * addresses.
 */
t.setTimeout(0);

const PORTS = [
  { name: 'tcp', port: 80, targetPort: 8080, nodePort: 30_080 },
  { name: 'udp', port: 80, targetPort: 8080, nodePort: 30_080, protocol: 'UDP' },
] as const;
const FLAGS = [
  '--cluster-cidr=10.244.0.0/16,198.51.0.0/16,fd00:244::/64,fd00:51::/32',
  '--hostname-override=node',
];
const ADDRESSES = {
  IPv4: { clusterIP: '10.96.0.10', externalIP: '203.0.113.10', node: NODE_UPLINK.address4 },
  IPv6: { clusterIP: 'fd00:96::10', externalIP: '2001:db8:10::10', node: NODE_UPLINK.address6 },
};

/** For an answer that must come, and for one that must not, seconds. */
const PATIENCE = { answer: 20, silence: 2 };

/** Who answers by TCP and by UDP within so many seconds. */
async function answers(client: Host, address: string, port: number, patience: number): Promise<string[]> {
  const host = address.includes(':') ? `[${address}]` : address;
  const { code, stdout } = await client.exec('curl', [
    '-s',
    '--max-time',
    `${patience}`,
    `http://${host}:${port}`,
  ]);
  const [udp] = await askUdp(client, { address, port, payload: 'x', patienceMs: patience * 1000 });
  const [reply = ''] = udp?.answers ?? [];
  return [
    code === 0 ? stdout.trim() : code === TIMED_OUT ? 'silence' : `curl ends with ${code}`,
    nameIn(reply),
  ];
}

/** curl(1), exit codes. */
const TIMED_OUT = 28;

for (const redirect of ['iptables', 'address'] as const) {
  for (const family of ['IPv4', 'IPv6'] as const) {
    t.test(`pods of other nodes are outsiders, --redirect=${redirect}, ${family}`, async (t) => {
      const { clusterIP, externalIP, node } = ADDRESSES[family];
      const lab = await Lab.forTest(t, { pods: ['client', 'here', 'there'] });
      const remote = await lab.addRemote('remote', 1500);
      const [here, there] = [lab.pod('here'), lab.pod('there')];
      for (const pod of [here, there])
        await startBackend(pod, { tcp: { 8080: 'http' }, udp: { 8080: 'name' } });
      const objects = (local: readonly Host[]) =>
        serviceAcrossNodes(
          {
            name: 'web',
            clusterIPs: [clusterIP],
            externalIPs: [externalIP],
            ports: PORTS,
            spec: { externalTrafficPolicy: 'Local' },
          },
          local,
          [there],
        );
      const kubePortal = await KubePortal.forTest(t, lab.node, {
        objects: objects([]),
        flags: [`--redirect=${redirect}`, ...FLAGS],
      });
      for (const [address, port] of [
        [externalIP, 80],
        [node, 30_080],
      ] as const) {
        for (const client of [remote, lab.outside]) {
          const got = await answers(client, address, port, PATIENCE.silence);
          t.same(got, ['silence', 'silence'], `${client.name} to ${address}, port ${port}`);
        }
        for (const client of [lab.pod('client'), lab.node]) {
          const got = await answers(client, address, port, PATIENCE.answer);
          t.same(got, ['there', 'there'], `${client.name} to ${address}, port ${port}`);
        }
      }
      kubePortal.setManifest(objects([here]));
      const isServed = async () =>
        (await answers(remote, externalIP, 80, PATIENCE.silence)).join() === 'here,here';
      await kubePortal.until(isServed, 'a local endpoint serves the remote pod');
    });
  }
}
