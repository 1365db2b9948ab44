import t from 'tap';
import { DDS_PORTS, startDdsClient } from '../lab/ddsperf.js';
import type { Host } from '../lab/host.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';
import { hearsOthers } from './dds-hearing.js';

const VIP = '10.96.0.45';
const FLEET = {
  name: 'fleet',
  clusterIPs: [VIP],
  ports: [{ name: 'discovery', protocol: 'UDP', port: DDS_PORTS.discovery }],
  annotations: { 'rtps-routing': 'fan-out' },
} as const;
const RATE = 10;

/** A participant that publishes and subscribes, and knows only the VIP. */
function startRobot(host: Host, index = 0): Program {
  return startDdsClient(host, ['-1', 'pub', `${RATE}Hz`, 'sub'], VIP, { index });
}

t.setTimeout(0);

t.test('a participant reaches one of the same address, which is an endpoint', async (t) => {
  const lab = await Lab.forTest(t);
  const host = lab.outside;
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects: serviceWithPods(FLEET, [host]) });
  const other = startRobot(host, 1);
  await kubePortal.until(async () => {
    const { counters } = await kubePortal.status();
    return counters.some(({ datagramsIn }) => datagramsIn > 0);
  }, 'it announces itself before the endpoint is there');
  const endpoint = startRobot(host);
  t.ok((await hearsOthers(other, 1, RATE)) >= 0.95);
  t.ok((await hearsOthers(endpoint, 1, RATE)) >= 0.95);
});

t.test('an endpoint behind NAT gets nothing back of what it sends', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['near'] });
  const far = await lab.addRemote('far', 1500);
  await lab.outside.must('iptables', [
    '-t',
    'nat',
    '-A',
    'POSTROUTING',
    '-s',
    far.address4,
    '-j',
    'MASQUERADE',
  ]);
  const near = lab.pod('near');
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects: serviceWithPods(FLEET, [near, far]) });
  const robots = [near, far].map((host) => startRobot(host));
  for (const robot of robots) t.ok((await hearsOthers(robot, 1, RATE)) >= 0.95);
  const { sessions } = await kubePortal.sessions();
  const callers = sessions.map(({ client }) => client.split(':')[0]);
  t.same(
    new Set(callers),
    new Set([near.address4, lab.outside.address4]),
    'the far one calls from the router',
  );

  let [received, copies] = [0, 0];
  await kubePortal.until(async () => {
    const [counters] = (await kubePortal.status()).counters;
    const { datagramsIn = 0, copiesSent = 0 } = counters ?? {};
    const [more, moreCopies] = [datagramsIn - received, copiesSent - copies];
    if (more < 4) return false;
    [received, copies] = [datagramsIn, copiesSent];
    return moreCopies === more;
  }, 'each datagram goes to the other one only');
  t.pass('its answer to the question told who it is');
});
