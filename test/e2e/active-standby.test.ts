import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import { askTcp, askUdp, HeldConnections } from '../lab/client.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { type ServiceOptions, serviceWithPods } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';
import { settled } from '../lab/settled.js';
import { nameIn, tallies } from '../lab/tally.js';

t.setTimeout(0);

const VIP = '10.96.0.20';
/** In the order in which they are the active one, and their addresses the other way round. */
const NAMES = ['broker-0', 'broker-1', 'broker-2'];
const TCP = { name: 'mqtt', protocol: 'TCP', port: 1883, targetPort: 8080 } as const;
const UDP = { name: 'discovery', protocol: 'UDP', port: 11811, nodePort: 31_811 } as const;

class Stage {
  private constructor(
    readonly client: Pod,
    readonly brokers: ReadonlyMap<string, Pod>,
    readonly programs: Map<string, Program>,
    readonly kubePortal: KubePortal,
    readonly service: ServiceOptions,
  ) {}

  static async forTest(t: Test, affinity: boolean): Promise<Stage> {
    const lab = await Lab.forTest(t, { pods: ['client', ...NAMES.toReversed()] });
    const brokers = new Map(NAMES.map((name) => [name, lab.pod(name)]));
    const annotations = { 'active-standby': 'true' };
    const service = { name: 'broker', clusterIPs: [VIP], ports: [TCP, UDP], affinity, annotations };
    const kubePortal = await KubePortal.forTest(t, lab.node, {
      objects: serviceWithPods(service, [...brokers.values()]),
      flags: ['--workers', '2'],
    });
    const stage = new Stage(lab.pod('client'), brokers, new Map(), kubePortal, service);
    for (const name of NAMES) await stage.start(name);
    return stage;
  }

  async start(name: string): Promise<void> {
    const served = { tcp: { 8080: 'name' }, udp: { 11811: 'name' } } as const;
    this.programs.set(name, await startBackend(this.brokers.get(name) as Pod, served));
  }

  async setReady(...names: string[]): Promise<void> {
    const pods = names.map((name) => this.brokers.get(name) as Pod);
    this.kubePortal.setManifest(serviceWithPods(this.service, pods));
    await settled(this.kubePortal, names.length);
  }

  /** Who serves twelve new clients over the VIP, and six over the NodePort. */
  async servers(): Promise<string> {
    const counts = await tallies(this.client, [
      { protocol: 'TCP', address: VIP, port: TCP.port, times: 6 },
      { protocol: 'UDP', address: VIP, port: UDP.port, times: 6 },
      { protocol: 'UDP', address: '10.244.0.1', port: UDP.nodePort, times: 6 },
    ]);
    return [...new Set(counts.flatMap((count) => Object.keys(count)))].join();
  }

  /** Who serves a client address. */
  async serverOf(source: string): Promise<string> {
    const request = { address: VIP, sources: [source] };
    const [tcp] = await askTcp(this.client, { ...request, port: TCP.port, send: '?' });
    const [udp] = await askUdp(this.client, { ...request, port: UDP.port });
    return [...new Set([tcp?.text ?? '', udp?.answers[0] ?? ''].map(nameIn))].join();
  }

  hold(protocol: 'TCP' | 'UDP'): HeldConnections {
    const port = protocol === 'TCP' ? TCP.port : UDP.port;
    const request = { protocol, address: VIP, port, connections: 4, listAnswers: true };
    return HeldConnections.open(this.client, request);
  }
}

async function serversOf(held: HeldConnections): Promise<string> {
  const { answers = [] } = await held.round();
  return [...new Set(answers.map(nameIn))].join();
}

t.test('one endpoint serves all clients, and the next one while it is not there', async (t) => {
  const stage = await Stage.forTest(t, false);
  t.equal(await stage.servers(), 'broker-0', 'TCP and UDP, all workers, VIP and NodePort');
  t.match((await stage.kubePortal.status()).portals, [{ activeStandby: true }, { activeStandby: true }]);

  await stage.brokers.get('broker-0')?.sysctl({ 'net/ipv4/icmp_ratelimit': '0' });
  await stage.programs.get('broker-0')?.stop('SIGKILL');
  t.equal(await stage.servers(), 'broker-1', 'it was killed, and nobody but its clients knows');
  await stage.setReady('broker-1', 'broker-2');
  t.equal(await stage.servers(), 'broker-1', 'it is not ready any more');
  const [tcp, udp] = [stage.hold('TCP'), stage.hold('UDP')];
  t.same([await serversOf(tcp), await serversOf(udp)], ['broker-1', 'broker-1']);

  await stage.start('broker-0');
  await stage.setReady(...NAMES);
  t.equal(await stage.servers(), 'broker-0', 'it is back, and gets the new clients');
  t.same([await serversOf(tcp), await serversOf(udp)], ['broker-1', 'broker-1'], 'the others stay');

  await stage.setReady('broker-0', 'broker-2');
  t.equal(await serversOf(udp), 'broker-0', 'flows follow once their endpoint is gone');
  await stage.setReady('broker-2');
  t.equal(await stage.servers(), 'broker-2');
  await Promise.all([tcp.close(), udp.close()]);
});

t.test('with ClientIP, who is pinned to the standby stays there until it goes', async (t) => {
  const stage = await Stage.forTest(t, true);
  const [early, late] = (await stage.client.addAddresses(2)) as [string, string];
  await stage.setReady('broker-1', 'broker-2');
  t.equal(await stage.serverOf(early), 'broker-1');
  await stage.setReady(...NAMES);
  t.equal(await stage.serverOf(early), 'broker-1', 'the first one is back');
  t.equal(await stage.serverOf(late), 'broker-0', 'for new clients');
  await stage.setReady('broker-0', 'broker-2');
  t.same([await stage.serverOf(early), await stage.serverOf(late)], ['broker-0', 'broker-0']);
});
