import t, { type Test } from 'tap';
import type { ParticipantReport } from '../../lib/admin/participants.js';
import { DDS_PORTS, startDdsClient, startDdsServer } from '../lab/ddsperf.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { type ServiceOptions, serviceWithPods } from '../lab/manifest.js';

t.setTimeout(0);

const VIP = '10.96.0.30';
const REPLICAS = ['a', 'b'] as const;
const PLAIN: ServiceOptions = {
  name: 'robot',
  clusterIPs: [VIP],
  affinity: true,
  ports: [
    { name: 'discovery', protocol: 'UDP', port: DDS_PORTS.discovery },
    { name: 'data', protocol: 'UDP', port: DDS_PORTS.data },
  ],
};
const RTPS: ServiceOptions = { ...PLAIN, annotations: { 'rtps-routing': 'pin' } };

interface Stage {
  readonly first: Pod;
  readonly second: Pod;
  readonly pods: readonly Pod[];
  readonly kubePortal: KubePortal;
}

/** Replicas that answer pings, and two clients that do nothing yet. */
async function stageFor(t: Test, options: ServiceOptions): Promise<Stage> {
  const lab = await Lab.forTest(t, { pods: ['first', 'second', ...REPLICAS] });
  const pods = REPLICAS.map((name) => lab.pod(name));
  for (const pod of pods) startDdsServer(pod, ['pong'], VIP);
  const objects = serviceWithPods(options, pods);
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags: ['--workers', '2'] });
  return { first: lab.pod('first'), second: lab.pod('second'), pods, kubePortal };
}

/** Waits until the list is as a test wants it. */
async function listed(
  kubePortal: KubePortal,
  isWanted: (list: readonly ParticipantReport[]) => boolean,
  what: string,
): Promise<readonly ParticipantReport[]> {
  let list: readonly ParticipantReport[] = [];
  await kubePortal.until(async () => {
    list = await kubePortal.participants();
    return isWanted(list);
  }, what);
  return list;
}

t.test('participants are listed with what they announce and the replica that they meet', async (t) => {
  const { first, second, pods, kubePortal } = await stageFor(t, RTPS);
  const pings = [first, second].map((pod) => startDdsClient(pod, ['ping', '20Hz'], VIP));
  const list = await listed(
    kubePortal,
    (list) => list.length === 2 && list.every(({ datagrams }) => datagrams > 50),
    'both are listed and have sent something',
  );
  const own = list.find(({ source }) => source.startsWith(`${first.address4}:`));
  t.match(own, {
    service: 'default/robot',
    prefix: /^0110[0-9a-f]{20}$/,
    vendor: 'Cyclone DDS',
    process: 'ddsperf',
    pid: `${item(pings, 0).pid}`,
    leaseMs: 10_000,
    metatraffic: [`udp/${first.address4}:7410`],
    data: [`udp/${first.address4}:7411`],
    warnings: [],
  });
  const endpoints = list.map(({ endpoint }) => endpoint).sort();
  t.same(
    endpoints,
    pods.map(({ address4 }) => `${address4}:7410`),
    'each has a replica of its own',
  );
  t.ok(own !== undefined && own.bytes > own.datagrams * 20);

  const text = await kubePortal.command('participants', ['default/robot']);
  t.match(text, /^SERVICE +PARTICIPANT +VENDOR +HOST/);
  t.match(text, `default/robot  ${own?.prefix}  Cyclone DDS`);
  t.match(await kubePortal.command('participants', ['default/other']), /^no participant/);

  await item(pings, 0).stop('SIGTERM');
  const left = await listed(kubePortal, (list) => list.length < 2, 'one has said farewell');
  t.not(item(left, 0).prefix, own?.prefix);
});

t.test('a participant that dies is listed until its lease is over', async (t) => {
  const { first, kubePortal } = await stageFor(t, RTPS);
  const ping = startDdsClient(first, ['ping', '20Hz'], VIP, { lease: 3 });
  await listed(kubePortal, (list) => list.length === 1, 'it is listed');
  await ping.stop('SIGKILL');
  let last = 0;
  await listed(
    kubePortal,
    (list) => {
      last = Math.max(last, list[0]?.lastHeardMs ?? 0);
      return list.length === 0;
    },
    'it is listed no more',
  );
  t.ok(last <= 3000, `it was listed while it had been silent for ${last} ms`);
});

t.test('a client behind NAT is warned of once, in the log and in the list', async (t) => {
  const { first, second, kubePortal } = await stageFor(t, RTPS);
  const inside = '192.168.50.11';
  startDdsClient(first, ['ping', '20Hz'], VIP, { announced: inside });
  startDdsClient(second, ['ping', '20Hz'], VIP);
  const list = await listed(
    kubePortal,
    (list) => list.length === 2 && list.every(({ datagrams }) => datagrams >= 2),
    'both have announced themselves, one of them again',
  );
  const warnings = list.flatMap(({ warnings }) => warnings);
  const wanted = `calls from ${first.address4} and announces only ${inside}: it is behind NAT`;
  t.match(warnings, [wanted]);
  const lines = kubePortal.log.filter(({ msg }) => msg.includes('behind NAT'));
  t.match(lines, [
    { client: first.address4, announced: [inside], msg: /use the TCP transport .*, or Zenoh$/ },
  ]);
  t.equal(lines.length, 1);
  t.match(await kubePortal.command('participants'), wanted);
});

t.test('participants of a Service without an annotation about RTPS are not listed', async (t) => {
  const { first, kubePortal } = await stageFor(t, PLAIN);
  const ping = startDdsClient(first, ['ping', '20Hz'], VIP);
  await ping.waitFor(() => (/mean.*cnt \d+/.test(ping.stdout) ? true : null), 'pings are answered');
  t.same(await kubePortal.participants(), []);
});
