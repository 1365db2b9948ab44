import t from 'tap';
import { DDS_PORTS, startDdsClient } from '../lab/ddsperf.js';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';
import { hearsOthers } from './dds-hearing.js';

const VIP = '10.96.0.40';
const ROBOTS = ['one', 'two', 'three', 'four'] as const;
const FLEET = {
  name: 'fleet',
  clusterIPs: [VIP],
  ports: [{ name: 'discovery', protocol: 'UDP', port: DDS_PORTS.discovery }],
  annotations: { 'rtps-routing': 'fan-out' },
} as const;
const RATE = 10;

/** A participant that publishes ten samples per second, subscribes to the others, and knows only the VIP. */
function startRobot(pod: Host): Program {
  return startDdsClient(pod, ['-1', 'pub', `${RATE}Hz`, 'sub'], VIP);
}

t.setTimeout(0);

t.test('participants that know only the VIP find each other without multicast', async (t) => {
  const lab = await Lab.forTest(t, { pods: [...ROBOTS, 'spare'] });
  const pods = ROBOTS.map((name) => lab.pod(name));
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods(FLEET, pods),
    flags: ['--workers', '2'],
  });
  const robots = pods.map(startRobot);
  for (const share of await Promise.all(robots.map((robot) => hearsOthers(robot, 3, RATE)))) {
    t.ok(share >= 0.95, `${share * 100} % of the samples of the three others`);
  }

  await item(robots, 3).stop('SIGKILL');
  const replaced = [...pods.slice(0, 3), lab.pod('spare')];
  kubePortal.setManifest(serviceWithPods(FLEET, replaced));
  const after = [...robots.slice(0, 3), startRobot(lab.pod('spare'))];
  for (const share of await Promise.all(after.map((robot) => hearsOthers(robot, 3, RATE)))) {
    t.ok(share >= 0.95, `${share * 100} % after one was replaced`);
  }
  const { sessions } = await kubePortal.sessions();
  t.ok(sessions.length >= 4);
  t.same(new Set(sessions.map(({ endpoint }) => endpoint)), new Set(['all']));
});
