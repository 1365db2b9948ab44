import t, { type Test } from 'tap';
import { ApiServer } from '../apiserver/apiserver.js';
import { startBackend } from '../lab/backend.js';
import { askEach, type TcpReply, type UdpReply } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import type { PodLink } from '../lab/podlink.js';
import type { Program } from '../lab/program.js';
import { addPod, egressPolicy, ingressPolicy, startEngine } from './engine.js';

/**
 * Which pods reach which through a ClusterIP, while a real engine enforces NetworkPolicies. Pods of the role
 * `guest` alone may reach the server; pods of the role `captive` may reach DNS only.
 */
t.setTimeout(0);

const PORTS = [
  { name: 'tcp', port: 80, targetPort: 8080 },
  { name: 'udp', port: 80, targetPort: 8080, protocol: 'UDP' },
] as const;
const SERVER = { name: 'server', clusterIPs: ['10.96.0.10'], ports: PORTS } as const;
const DNS = { name: 'dns', clusterIPs: ['10.96.0.53'], ports: PORTS } as const;
const FLAGS = ['--hostname-override=node', '--cluster-cidr=10.244.0.0/16'];

interface Stage {
  readonly lab: Lab;
  readonly api: ApiServer;
  readonly server: Host;
  readonly dns: Host;
  readonly guest: Host;
  readonly stranger: Host;
  readonly captive: Host;
  /** A guest on another node. */
  readonly remote: Host;
  readonly engine: Program;
}

async function stageFor(t: Test, link: PodLink): Promise<Stage> {
  const lab = await Lab.forTest(t, { pods: ['server', 'dns', 'guest', 'stranger', 'captive'], link });
  const [server, dns] = [lab.pod('server'), lab.pod('dns')];
  const [guest, stranger, captive] = [lab.pod('guest'), lab.pod('stranger'), lab.pod('captive')];
  const remote = await lab.addRemotePod('remote');
  const ports = { 8080: 'client' } as const;
  for (const pod of [server, dns]) await startBackend(pod, { tcp: ports, udp: ports });
  const api = await ApiServer.forTest(t, lab.node);
  const engine = await startEngine(api, lab.node);
  t.teardown(() => engine.stop('SIGKILL'));
  for (const pod of [server, dns, guest, stranger, captive]) await addPod(api, pod, pod.name, true);
  await addPod(api, remote, 'guest', false);
  await api.apply(ingressPolicy('server', 'guest'), egressPolicy('captive', 'dns'));
  const stage = { lab, api, server, dns, guest, stranger, captive, remote, engine };
  while (!(await isInForce(stage))) if (!engine.running) throw new Error(engine.stderr);
  return stage;
}

/** Whether the engine's rules are there: seen without a Service. */
async function isInForce({ server, dns, stranger, captive, guest, remote }: Stage): Promise<boolean> {
  const reaches = async (client: Host, pod: Host) => (await seen(client, pod.address4, 8080)).join();
  return (
    (await reaches(stranger, server)) === NOT.join() &&
    (await reaches(captive, server)) === NOT.join() &&
    (await reaches(guest, server)) === itself(guest).join() &&
    (await reaches(remote, server)) === itself(remote).join() &&
    (await reaches(captive, dns)) === itself(captive).join()
  );
}

/** Starts kube-portal, and waits until a change has made the engine put its own rules on top again. */
async function serve(t: Test, stage: Stage, ...flags: readonly string[]): Promise<KubePortal> {
  const { lab, api, server, dns, guest } = stage;
  const objects = [...serviceWithPods(SERVER, [server]), ...serviceWithPods(DNS, [dns])];
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags: [...FLAGS, ...flags] });
  await api.kubectl(['label', 'pod', guest.name, 'changed=yes']);
  const isOnTop = async () => {
    const rules = await lab.node.must('iptables', ['-w', '10', '-S', 'INPUT', '1']);
    return rules.includes('KUBE-ROUTER-INPUT');
  };
  await kubePortal.until(isOnTop, "the engine's rules are on top");
  return kubePortal;
}

/** Of a client that may not: by TCP and by UDP. */
const NOT = ['refused', 'refused'];

/** What a pod sees of the client by TCP and UDP. The node does not answer each datagram that it refuses. */
async function seen(client: Host, address: string, port = 80): Promise<string[]> {
  const replies = await askEach(client, [
    { what: 'tcp', address, port, send: '?' },
    { what: 'udp', address, port, patienceMs: 2000 },
  ]);
  return replies.flat().map((reply: TcpReply | UdpReply) => {
    const text = 'answers' in reply ? reply.answers.join() : reply.text || reply.outcome;
    return text.replace(/^(server|dns):/, '').replace(/ECONNREFUSED|silence/, 'refused');
  });
}

/** Counts the datagrams that come to a pod from now on. */
async function countDatagrams(pod: Host): Promise<() => Promise<number>> {
  await pod.must('iptables', ['-A', 'INPUT', '-p', 'udp']);
  return async () =>
    Number((await pod.must('iptables', ['-nvxL', 'INPUT'])).split('\n')[2]?.trim().split(/ +/)[0]);
}

const itself = ({ address4 }: Host) => [address4, address4];

for (const link of ['bridge port', 'point to point'] as const) {
  t.test(`the kernel carries, pods with the link ${link}: policies hold`, async (t) => {
    const stage = await stageFor(t, link);
    const { guest, stranger, captive, remote } = stage;
    const kubePortal = await serve(t, stage, '--carrier=kernel');
    t.same(await seen(guest, SERVER.clusterIPs[0]), itself(guest), 'a pod that may');
    t.same(await seen(remote, SERVER.clusterIPs[0]), itself(remote), 'a pod of another node that may');
    t.same(await seen(stranger, SERVER.clusterIPs[0]), NOT, 'a pod that the ingress policy forbids');
    t.same(await seen(captive, SERVER.clusterIPs[0]), NOT, 'a pod that its egress policy forbids');
    t.same(await seen(captive, DNS.clusterIPs[0]), itself(captive), 'where its egress policy lets it');
    t.same(await seen(guest, SERVER.clusterIPs[0]), itself(guest), 'who is refused blames nobody');
    t.same((await kubePortal.status()).problems, []);
  });
}

t.test('the relay: an ingress policy does not hold, and an egress policy cuts DNS', async (t) => {
  const stage = await stageFor(t, 'bridge port');
  const { lab, guest, stranger, captive } = stage;
  await serve(t, stage, '--carrier=relay');
  t.same(await seen(guest, SERVER.clusterIPs[0]), itself(lab.node));
  t.same(await seen(stranger, SERVER.clusterIPs[0]), itself(lab.node));
  t.same(await seen(captive, DNS.clusterIPs[0]), NOT);
});

t.test('the kernel carries, the engine looks at FORWARD only: policies hold', async (t) => {
  const stage = await stageFor(t, 'point to point');
  const { lab, guest, stranger, captive, server } = stage;
  await serve(t, stage, '--carrier=kernel');
  // The engine would put its jumps there again.
  await stage.engine.stop('SIGKILL');
  for (const chain of ['INPUT', 'OUTPUT']) await lab.node.must('iptables', ['-w', '10', '-F', chain]);
  const arrived = await countDatagrams(server);
  t.same(await seen(stranger, SERVER.clusterIPs[0]), NOT);
  t.same(await seen(captive, SERVER.clusterIPs[0]), NOT);
  t.equal(await arrived(), 0, 'not even a first datagram comes to the pod');
  t.same(await seen(guest, SERVER.clusterIPs[0]), itself(guest));
  t.equal(await arrived(), 1);
  t.same(await seen(captive, DNS.clusterIPs[0]), itself(captive));
});
