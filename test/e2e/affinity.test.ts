import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import { askTcp, askUdp, HeldConnections } from '../lab/client.js';
import { item } from '../lab/items.js';
import { KubePortal, RELAYED } from '../lab/kubeportal.js';
import { Lab, type LabOptions, type Pod } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';
import { settled } from '../lab/settled.js';
import { count, nameIn, tally } from '../lab/tally.js';
import { DATA, homes, moved, SERVICE, TCP, UDP, VIPS } from './homes.js';

t.setTimeout(0);

const NAMES = ['a', 'b', 'c'];
const CLIENTS = 50;

interface Stage {
  readonly lab: Lab;
  readonly client: Pod;
  readonly pods: readonly Pod[];
  readonly programs: ReadonlyMap<string, Program>;
}

async function stageFor(t: Test, options: LabOptions = {}): Promise<Stage> {
  const lab = await Lab.forTest(t, { ...options, pods: ['client', ...NAMES] });
  const pods = NAMES.map((name) => lab.pod(name));
  const programs = new Map<string, Program>();
  for (const pod of pods) {
    const served = { tcp: { 8080: 'name' }, udp: { 5353: 'name', 5354: 'name' } } as const;
    programs.set(pod.name, await startBackend(pod, served));
  }
  return { lab, client: lab.pod('client'), pods, programs };
}

const clientsOf = (found: ReadonlyMap<string, string>, pod: string): string[] =>
  [...found].filter(([, home]) => home === pod).map(([source]) => source);

for (const { way, family, options } of [
  { way: ['--redirect=iptables'], family: 'IPv4', options: { iptables: 'nft' } },
  { way: ['--redirect=iptables'], family: 'IPv6', options: { iptables: 'legacy' } },
  { way: ['--redirect=iptables', RELAYED], family: 'IPv6', options: { iptables: 'nft' } },
  { way: ['--redirect=address'], family: 'IPv4', options: {} },
] as const) {
  t.test(`clients keep their pod on all ports, ${way.join(' ')}, ${family}`, async (t) => {
    const { lab, client, pods } = await stageFor(t, options);
    const flags = [...way, '--workers=4'];
    const objects = serviceWithPods(SERVICE, pods);
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
    const sources = await client.addAddresses(CLIENTS, family);

    const first = await homes(t, client, sources, 'at first');
    t.same(
      Object.values(count([...first.values()])).sort(),
      [16, 17, 17],
      'new clients are shared out evenly',
    );
    const held = HeldConnections.open(client, {
      protocol: 'UDP',
      address: VIPS[family],
      port: DATA.port,
      connections: CLIENTS,
      sources,
      listAnswers: true,
    });
    const flowHomes = async () => {
      const { answers = [] } = await held.round();
      return new Map(sources.map((source, i) => [source, nameIn(item(answers, i))]));
    };
    t.same(moved(first, await flowHomes()), [], 'flows of later sockets go to the same pods');

    kubePortal.setManifest(serviceWithPods(SERVICE, [item(pods, 0), item(pods, 2)]));
    await settled(kubePortal, 2);
    const flows = await flowHomes();
    t.same(moved(first, flows), clientsOf(first, 'b'), 'exactly the clients of the removed pod move');
    const second = await homes(t, client, sources, 'after the removal');
    t.same(moved(flows, second), [], 'new connections follow the flows that moved');

    kubePortal.setManifest(serviceWithPods(SERVICE, pods));
    await settled(kubePortal, 3);
    t.same(moved(second, await homes(t, client, sources, 'with the pod back')), [], 'nobody moves back');
    t.same(moved(second, await flowHomes()), [], 'nor do the flows');
    await held.close();
  });
}

t.test('clients of a dead pod move to one pod on all ports, and other clients stay', async (t) => {
  const { lab, client, pods, programs } = await stageFor(t);
  const flags = ['--redirect', 'address', '--workers', '4'];
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods(SERVICE, pods),
    flags,
  });
  const sources = await client.addAddresses(CLIENTS);
  const first = await homes(t, client, sources, 'at first');
  const held = HeldConnections.open(client, {
    protocol: 'UDP',
    address: VIPS.IPv4,
    port: DATA.port,
    connections: CLIENTS,
    sources,
    listAnswers: true,
  });
  await held.round();

  // A flow learns of the death from the pod's ICMP message, and of those Linux sends one client six at once.
  await lab.pod('c').sysctl({ 'net/ipv4/icmp_ratelimit': '0' });
  await programs.get('c')?.stop('SIGKILL');
  // TCP moves the pins first; the flows that still point at the dead pod must then follow them.
  const tcp = await askTcp(client, { address: VIPS.IPv4, port: TCP.port, sources, send: '?' });
  const now = new Map(tcp.map(({ source, text }) => [source, nameIn(text)]));
  t.same(moved(first, now), clientsOf(first, 'c'), 'exactly the clients of the dead pod move');
  const { answers = [] } = await held.round();
  t.same(
    answers.map(nameIn),
    sources.map((source) => now.get(source)),
    'flows follow',
  );
  t.same(moved(now, await homes(t, client, sources, 'after the death')), [], 'pins stay where they went');
  t.match(await kubePortal.metrics(), /pins_moved_total\{[^}]*\} [1-9]/);
});

t.test('affinity can be turned on and off while the Service is used', async (t) => {
  const { lab, client, pods } = await stageFor(t);
  const setAffinity = (affinity: boolean) => serviceWithPods({ ...SERVICE, affinity }, pods);
  const flags = ['--redirect', 'address', '--workers', '4'];
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects: setAffinity(false), flags });
  const sources = await client.addAddresses(CLIENTS);
  const turn = async (on: boolean) => {
    kubePortal.setManifest(setAffinity(on));
    await kubePortal.until(
      async () => (await kubePortal.status()).portals.every(({ affinity }) => (affinity !== null) === on),
      'the change',
    );
  };
  await turn(true);
  await homes(t, client, sources, 'once affinity is on');
  await turn(false);
  const target = { protocol: 'TCP', address: VIPS.IPv4, port: TCP.port, times: 30 } as const;
  t.same(await tally(client, target), { a: 10, b: 10, c: 10 }, 'round robin again');
});

t.test('a pin ends after the time-out', async (t) => {
  const { lab, client, pods } = await stageFor(t);
  const objects = serviceWithPods({ ...SERVICE, affinity: 1 }, pods);
  await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect', 'address', '--workers', '4'] });
  const ask = async (port: typeof TCP | typeof UDP) => {
    const target = { address: VIPS.IPv4, port: port.port };
    if (port === TCP) return nameIn(item(await askTcp(client, { ...target, send: '?' }), 0).text);
    return nameIn(item(item(await askUdp(client, target), 0).answers, 0));
  };
  const met = [];
  for (const port of [TCP, TCP, UDP, UDP]) {
    met.push(await ask(port));
    await new Promise((resolve) => setTimeout(resolve, 1200));
  }
  t.same(met, ['a', 'b', 'a', 'b'], 'without its pin a client is the next in turn');
});
