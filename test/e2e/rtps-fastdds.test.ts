import t from 'tap';
import { DDS_PORTS } from '../lab/ddsperf.js';
import { FastDds, heardBy, startDiscoveryServer } from '../lab/fastdds.js';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';

const VIP = '10.96.0.42';
const FLAGS = ['--workers', '2'];

function locator(address: string, port: number): string {
  return `<locator><udpv4><address>${address}</address><port>${port}</port></udpv4></locator>`;
}

/** A participant on the standard ports of domain 0, without multicast, that knows the VIP only. */
function profileOf({ address4 }: Host): string {
  return `<profiles xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles">
    <transport_descriptors>
      <transport_descriptor><transport_id>udp</transport_id><type>UDPv4</type></transport_descriptor>
    </transport_descriptors>
    <participant profile_name="robot" is_default_profile="true"><rtps>
      <userTransports><transport_id>udp</transport_id></userTransports>
      <useBuiltinTransports>false</useBuiltinTransports>
      <builtin>
        <metatrafficUnicastLocatorList>${locator(address4, DDS_PORTS.discovery)}</metatrafficUnicastLocatorList>
        <initialPeersList>${locator(VIP, DDS_PORTS.discovery)}</initialPeersList>
      </builtin>
      <defaultUnicastLocatorList>${locator(address4, DDS_PORTS.data)}</defaultUnicastLocatorList>
    </rtps></participant>
  </profiles>`;
}

/** Waits until each has heard ten new words of each of the others. */
async function allHearAll(talkers: ReadonlyMap<Host, Program>): Promise<void> {
  const waits = Array.from(talkers, async ([own, talker]) => {
    const others = [...talkers.keys()].filter((host) => host !== own).map(({ name }) => name);
    const from = heardBy(talker).length;
    const counts = () => {
      const heard = heardBy(talker).slice(from);
      return others.map((name) => heard.filter((one) => one === name).length);
    };
    await talker.waitFor(() => (counts().every((count) => count >= 10) ? true : null), `${others}`);
  });
  await Promise.all(waits);
}

t.setTimeout(0);

t.test('Fast DDS participants that know only the VIP find each other without multicast', async (t) => {
  const fastDds = FastDds.forTest(t);
  const lab = await Lab.forTest(t, { pods: ['one', 'two', 'three', 'four', 'spare'] });
  const pods = ['one', 'two', 'three', 'four'].map((name) => lab.pod(name));
  const fleet = {
    name: 'fleet',
    clusterIPs: [VIP],
    annotations: { 'rtps-routing': 'fan-out' },
    ports: [{ name: 'discovery', protocol: 'UDP', port: DDS_PORTS.discovery }],
  } as const;
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods(fleet, pods),
    flags: FLAGS,
  });
  const start = (pod: Host) => fastDds.start(pod, pod.name, { profile: profileOf(pod) });
  const talkers = new Map<Host, Program>(pods.map((pod) => [pod, start(pod)]));
  await allHearAll(talkers);

  const [gone, spare] = [item(pods, 0), lab.pod('spare')];
  await talkers.get(gone)?.stop('SIGKILL');
  talkers.delete(gone);
  kubePortal.setManifest(serviceWithPods(fleet, [...pods.slice(1), spare]));
  talkers.set(spare, start(spare));
  await allHearAll(talkers);
  t.pass('all hear all, also after one was replaced');
});

t.test('a client finds its peers when two of three discovery servers behind a VIP are dead', async (t) => {
  const fastDds = FastDds.forTest(t);
  const lab = await Lab.forTest(t, { pods: ['s0', 's1', 's2', 'one', 'two', 'late'] });
  const pods = ['s0', 's1', 's2'].map((name) => lab.pod(name));
  const discovery = {
    name: 'discovery',
    clusterIPs: [VIP],
    annotations: { 'rtps-routing': 'follow' },
    ports: [{ name: 'server', protocol: 'UDP', port: 11811 }],
  } as const;
  const servers = pods.map((pod, id) => startDiscoveryServer(pod, id));
  await KubePortal.forTest(t, lab.node, { objects: serviceWithPods(discovery, pods), flags: FLAGS });
  const addresses = pods.map(() => `${VIP}:11811`).join(';');
  const start = (client: Host) => fastDds.start(client, client.name, { servers: addresses });
  const clients = [lab.pod('one'), lab.pod('two')];
  const talkers = new Map<Host, Program>(clients.map((client) => [client, start(client)]));
  await allHearAll(talkers);

  await item(servers, 0).stop('SIGKILL');
  await item(servers, 2).stop('SIGKILL');
  const begun = performance.now();
  const late = start(lab.pod('late'));
  talkers.set(lab.pod('late'), late);
  await late.waitForOutput(/^heard one$/m);
  t.comment(`the first word came after ${Math.round(performance.now() - begun)} ms`);
  await allHearAll(talkers);
  t.pass('all hear all');
});
