import t from 'tap';
import { FastDds, heardBy, startDiscoveryServer } from '../lab/fastdds.js';
import { item } from '../lab/items.js';
import { configIn, serveAll, textOf } from './ros2-examples.js';

t.setTimeout(0);

t.test('real participants of Fast DDS meet through their examples', async (t) => {
  const { lab, pods, kubePortal } = await serveAll(t);
  const fastDds = FastDds.forTest(t);
  for (const example of ['fastdds-udp', 'fastdds-tcp']) {
    const replica = { profile: configIn(example, 'replica', 'profile.xml') };
    const robot = { profile: configIn(example, 'robot', 'profile.xml') };
    const replicas = pods.map((pod) => fastDds.start(pod, pod.name, replica));
    const talker = fastDds.start(lab.pod('robot'), 'robot', robot);
    await talker.waitFor(() => (heardBy(talker).length >= 20 ? true : null), '20 samples');
    const partners = new Set(heardBy(talker));
    t.equal(partners.size, 1, `${example}: one partner`);
    const partner = item(
      replicas,
      pods.findIndex(({ name }) => partners.has(name)),
    );
    await partner.waitFor(() => (heardBy(partner).length >= 20 ? true : null), '20 samples of the robot');
    await Promise.all([talker, ...replicas].map((program) => program.stop('SIGKILL')));
  }
  const { sessions } = await kubePortal.sessions('service=default/fastdds-udp');
  const portals = new Set(sessions.map(({ portal }) => portal));
  t.equal(portals.size, 2, 'discovery and data went through the Service, not over shared memory');
});

t.test('clients of discovery servers of Fast DDS find each other through the examples', async (t) => {
  const { lab, pods, kubePortal } = await serveAll(t);
  const fastDds = FastDds.forTest(t);
  const clients = [lab.pod('robot'), await lab.addPod('robot-2')];
  for (const example of ['fastdds-discovery-mesh', 'fastdds-discovery-follow']) {
    const servers = pods.map((pod, index) => startDiscoveryServer(pod, index, serversIn(example)));
    const environment = configIn(example, 'robot', 'environment');
    const [, addresses = ''] = /="(.*)"/.exec(environment) ?? [];
    const talkers = clients.map((client) => fastDds.start(client, client.name, { servers: addresses }));
    for (const talker of talkers) {
      await talker.waitFor(() => (heardBy(talker).length >= 20 ? true : null), `${example}: 20 samples`);
    }
    // Now, as the flows of clients that have ended do not stay for long.
    if (example === 'fastdds-discovery-mesh') {
      const { sessions } = await kubePortal.sessions('service=default/discovery-mesh');
      t.equal(new Set(sessions.map(({ endpoint }) => endpoint)).size, 2, 'with the mesh, by two servers');
    }
    await Promise.all([...talkers, ...servers].map((program) => program.stop('SIGKILL')));
  }
});

/** The other servers that an example names to each server. */
function serversIn(example: string): string | undefined {
  return /ROS_DISCOVERY_SERVER="([^"]*)" \\$/m.exec(textOf(example))?.[1];
}
