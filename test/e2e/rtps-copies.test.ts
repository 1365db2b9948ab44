import t from 'tap';
import type { CounterValues } from '../../lib/dataplane/shared/counters.js';
import { startBackend } from '../lab/backend.js';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { type KubernetesObject, type ServiceOptions, serviceWithPods } from '../lab/manifest.js';
import { NODE_PORT, startWeb, webIsServed } from './loops.js';
import { UdpTalker } from './udp-talker.js';

const PORT = 7410;
const PODS = ['a', 'b', 'c'] as const;
const FAMILIES = { IPv4: ['10.96.0.43', '10.96.0.44'], IPv6: ['fd00:96::43', 'fd00:96::44'] } as const;

function fleetAt(vips: readonly string[]): ServiceOptions {
  return {
    name: 'fleet',
    clusterIPs: vips,
    annotations: { 'rtps-routing': 'fan-out' },
    ports: [{ name: 'discovery', protocol: 'UDP', port: PORT }],
  };
}

/** The sum of a counter over a Service's portals. */
async function total(kubePortal: KubePortal, service: string, field: keyof CounterValues): Promise<number> {
  const { counters } = await kubePortal.status();
  const own = counters.filter((counter) => counter.service === `default/${service}`);
  return own.reduce((sum, counter) => sum + counter[field], 0);
}

async function reaches(
  kubePortal: KubePortal,
  field: keyof CounterValues,
  isEnough: (value: number) => boolean,
): Promise<void> {
  await kubePortal.until(async () => isEnough(await total(kubePortal, 'fleet', field)), field);
}

t.setTimeout(0);

for (const driver of ['iptables', 'address']) {
  for (const [family, [fleetVip, plainVip]] of Object.entries(FAMILIES)) {
    t.test(`copies for all, and answers from the VIP, ${driver}, ${family}`, async (t) => {
      const lab = await Lab.forTest(t, { pods: ['client', ...PODS] });
      const pods = PODS.map((name) => lab.pod(name));
      const backends = await Promise.all(pods.map((pod) => startBackend(pod, { udp: { [PORT]: 'name' } })));
      const plain = { name: 'plain', clusterIPs: [plainVip], affinity: true, ports: fleetAt([]).ports };
      const kubePortal = await KubePortal.forTest(t, lab.node, {
        objects: [...serviceWithPods(fleetAt([fleetVip]), pods), ...serviceWithPods(plain, pods)],
        flags: ['--workers', '2', '--redirect', driver],
      });
      const talker = await UdpTalker.start(lab.pod('client'), { address: fleetVip, port: PORT });
      t.match(await talker.say('hello'), /^[abc]:hello$/, 'the answer comes from where the client has asked');
      await reaches(kubePortal, 'datagramsOut', (count) => count === 3);
      t.equal(await total(kubePortal, 'fleet', 'datagramsIn'), 1);
      t.equal(await total(kubePortal, 'fleet', 'copiesSent'), 3);
      const endpoints = await kubePortal.endpoints(`default/fleet:discovery/UDP/${family}`);
      t.same(
        endpoints.map(({ pod, total, datagramsIn, bytesIn, datagramsOut, bytesOut }) => ({
          [pod ?? 'all']: [total, datagramsIn, bytesIn, datagramsOut, bytesOut],
        })),
        [
          { 'default/a': [0, 1, 5, 1, 7] },
          { 'default/b': [0, 1, 5, 1, 7] },
          { 'default/c': [0, 1, 5, 1, 7] },
          { all: [1, 0, 0, 0, 0] },
        ],
        'the flow goes to all, and each has its copy',
      );

      const pinned = await UdpTalker.start(lab.pod('client'), { address: plainVip, port: PORT });
      const answers = [await pinned.say('x'), await pinned.say('x'), await pinned.say('x')];
      t.equal(new Set(answers).size, 1, 'beside it, a Service with ClientIP has one pod for a client');
      t.equal(await total(kubePortal, 'plain', 'copiesSent'), 0);

      await item(backends, 1).stop('SIGKILL');
      await talker.say('again');
      const dead = item(pods, 1);
      const address = family === 'IPv4' ? `${dead.address4}:${PORT}` : `[${dead.address6}]:${PORT}`;
      await kubePortal.waitForLog(({ msg, endpoint }) => /failed/.test(msg) && endpoint === address);
      await kubePortal.until(async () => {
        const before = await total(kubePortal, 'fleet', 'copiesSent');
        await talker.say('once more');
        return (await total(kubePortal, 'fleet', 'copiesSent')) - before === 2;
      }, 'a pod that refuses is left out');
      t.equal(await total(kubePortal, 'fleet', 'flowsTotal'), 1, 'the flow goes on');
    });
  }
}

for (const workers of ['1', '2']) {
  t.test(`a Service begins and ceases to copy while it is in use, ${workers} workers`, async (t) => {
    const lab = await Lab.forTest(t, { pods: ['client', ...PODS] });
    const pods = PODS.map((name) => lab.pod(name));
    await Promise.all(pods.map((pod) => startBackend(pod, { udp: { [PORT]: 'name' } })));
    const [address] = FAMILIES.IPv4;
    const objectsWith = (annotations: Readonly<Record<string, string>>) =>
      serviceWithPods({ ...fleetAt([address]), annotations }, pods);
    const kubePortal = await KubePortal.forTest(t, lab.node, {
      objects: objectsWith({}),
      flags: ['--workers', workers],
    });
    const talker = await UdpTalker.start(lab.pod('client'), { address, port: PORT });
    t.match(await talker.say('plain'), /plain$/);
    t.equal(await total(kubePortal, 'fleet', 'copiesSent'), 0);
    const routings = ['fan-out', 'follow', 'fan-out'];
    for (const routing of routings) {
      kubePortal.setManifest(objectsWith({ 'rtps-routing': routing }));
      await kubePortal.until(async () => {
        const before = await total(kubePortal, 'fleet', 'copiesSent');
        const answer = await talker.say(routing);
        return answer !== null && (await total(kubePortal, 'fleet', 'copiesSent')) === before + 3;
      }, routing);
    }
    kubePortal.setManifest(objectsWith({}));
    await kubePortal.until(async () => {
      const before = await total(kubePortal, 'fleet', 'copiesSent');
      const answer = await talker.say('plain');
      return answer !== null && (await total(kubePortal, 'fleet', 'copiesSent')) === before;
    }, 'it is plain again');
    t.pass('one client was served all the time');
  });
}

t.test('copies have a limit, which is counted and said', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', ...PODS] });
  const pods = PODS.map((name) => lab.pod(name));
  await Promise.all(pods.map((pod) => startBackend(pod, { udp: { [PORT]: 'silent' } })));
  const [address] = FAMILIES.IPv4;
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods(fleetAt([address]), pods),
    flags: ['--rtps-copies', '100'],
  });
  const talker = await UdpTalker.start(lab.pod('client'), { address, port: PORT });
  const sizes = Array.from({ length: 500 }, () => 100);
  talker.program.write(`${JSON.stringify({ sizes })}\n`);
  await kubePortal.waitForLog(({ msg, perSecond }) => msg.includes('--rtps-copies') && perSecond === 100);
  await reaches(kubePortal, 'datagramsIn', (count) => count === sizes.length);
  const copies = await total(kubePortal, 'fleet', 'copiesSent');
  const refused = await total(kubePortal, 'fleet', 'copiesRefused');
  t.ok(refused > 0);
  t.equal(copies + refused, pods.length * sizes.length, 'each datagram goes to all or to none');
});

/**
 * Addresses of each of two nodes. The Service of each has those of the other as endpoints. The address that a
 * datagram comes from gets no copy, so each becomes two.
 */
const CIRCLE = [
  ['192.0.2.1', '192.0.2.11', '192.0.2.21'],
  ['192.0.2.2', '192.0.2.12', '192.0.2.22'],
] as const;

t.test('copies that make twice as many on another node, and there again, come to an end', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'server'] });
  await lab.node.ip('addr add 192.0.2.11/24 dev uplink\naddr add 192.0.2.21/24 dev uplink');
  await lab.outside.ip('addr add 192.0.2.12/24 dev eth0\naddr add 192.0.2.22/24 dev eth0');
  const [vip] = FAMILIES.IPv4;
  const fleet = {
    ...fleetAt([vip]),
    ports: [{ protocol: 'UDP', port: PORT, targetPort: NODE_PORT }],
  } as const;
  const start = async (host: Host, others: readonly string[], beside: readonly KubernetesObject[]) => {
    const places = others.map((address4) => ({ name: address4, address4, address6: '' }));
    const [service, slice] = serviceWithPods(fleet, places) as [KubernetesObject, KubernetesObject];
    const ports = [{ protocol: 'UDP', port: PORT, nodePort: NODE_PORT }];
    const withNodePort = { ...service, spec: { clusterIP: vip, clusterIPs: [vip], type: 'NodePort', ports } };
    return KubePortal.forTest(t, host, {
      objects: [withNodePort, slice, ...beside],
      flags: ['--workers', '2', '--rtps-copies', '1000', '--udp-timeout', '3s'],
      descriptorLimit: 8000,
    });
  };
  const kubePortals = [
    await start(lab.node, CIRCLE[1], await startWeb(lab)),
    await start(lab.outside, CIRCLE[0], []),
  ];
  const client = lab.pod('client');
  const talker = await UdpTalker.start(client, { address: vip, port: PORT });
  talker.program.write(`${JSON.stringify({ word: 'storm' })}\n`);
  await Promise.race(kubePortals.map((one) => one.waitForLog(({ msg }) => msg.includes('--rtps-copies'))));
  await webIsServed(t, client, 'beside the storm');
  const copies = () => Promise.all(kubePortals.map((one) => total(one, 'fleet', 'copiesSent')));
  let last = '';
  await item(kubePortals, 0).until(async () => {
    const before = last;
    last = String(await copies());
    return last === before && (await total(item(kubePortals, 0), 'fleet', 'flowsActive')) === 0;
  }, 'the storm is over');
  t.ok(kubePortals.every(({ program }) => program.running));
});
