import t, { type Test } from 'tap';
import { announcementAt } from '../../lib/rtps/announcement.js';
import { destinationAt, HEADER_SIZE } from '../../lib/rtps/message.js';
import { ABSENT, findSubmessage, Submessage } from '../../lib/rtps/submessages.js';
import { Capture, type CapturedDatagram } from '../lab/capture.js';
import { DDS_PORTS, startDdsClient, startDdsServer } from '../lab/ddsperf.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { type ServiceOptions, serviceWithPods } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';

t.setTimeout(0);

const VIP = '10.96.0.30';
const REPLICAS = ['a', 'b', 'c'] as const;
const ROBOT: ServiceOptions = {
  name: 'robot',
  clusterIPs: [VIP],
  affinity: true,
  annotations: { 'rtps-routing': 'pin' },
  ports: [
    { name: 'discovery', protocol: 'UDP', port: DDS_PORTS.discovery },
    { name: 'data', protocol: 'UDP', port: DDS_PORTS.data },
  ],
};
const FOLLOW: ServiceOptions = { ...ROBOT, affinity: false, annotations: { 'rtps-routing': 'follow' } };

/** Seconds. With it, a client announces itself to everyone twice at its start, and then every 30 s. */
const LEASE = 60;

/** Whether a message carries a sample of the user's: DATA whose writer is no built-in one (9.3.1.2). */
function isSample({ payload }: CapturedDatagram): boolean {
  const at = findSubmessage(Submessage.Data, payload, HEADER_SIZE, payload.length);
  return at !== ABSENT && ((payload[at + 15] ?? 0) & 0xc0) === 0;
}

function isAnnouncement({ payload }: CapturedDatagram): boolean {
  return announcementAt(payload) !== ABSENT && destinationAt(payload) === ABSENT;
}

class Link {
  constructor(
    readonly pods: readonly Pod[],
    readonly replicas: Map<Pod, Program>,
    readonly kubePortal: KubePortal,
    readonly answers: Capture,
    readonly announcements: Capture,
  ) {}

  /** Samples that the client had from replicas. */
  get samples(): CapturedDatagram[] {
    return this.answers.datagrams.filter(isSample);
  }

  /** When the client has announced itself to everyone. */
  get announced(): number[] {
    return this.announcements.datagrams.filter(isAnnouncement).map(({ time }) => time);
  }

  /** The replica that the client's discovery and data go to now. */
  async replica(): Promise<Pod> {
    const [participant] = await this.kubePortal.participants();
    return this.pods.find(({ address4 }) => participant?.endpoint === `${address4}:7410`) as Pod;
  }

  async waitForSamples(from: (source: string) => boolean, count = 50): Promise<void> {
    const before = this.samples.length;
    const isEnough = async () =>
      this.samples.slice(before).filter(({ source }) => from(source)).length >= count;
    await this.kubePortal.until(isEnough, `${count} more samples`);
  }
}

interface Roles {
  /** Arguments of ddsperf. */
  readonly replica: readonly string[];
  readonly client: readonly string[];
}

/** Samples go in both directions. */
const PING: Roles = { replica: ['pong'], client: ['ping', '100Hz'] };
/** Once it has been discovered, the client says nothing but its announcements. */
const LISTEN: Roles = { replica: ['-u', 'pub', '100Hz', 'size', '64'], client: ['-u', 'sub'] };

/** @param replicas how many of them the Service has at first */
async function linkFor(
  t: Test,
  roles: Roles,
  service = ROBOT,
  replicas: number = REPLICAS.length,
): Promise<Link> {
  const lab = await Lab.forTest(t, { pods: ['client', ...REPLICAS] });
  const pods = REPLICAS.map((name) => lab.pod(name));
  const programs = new Map(pods.map((pod) => [pod, startDdsServer(pod, roles.replica, VIP)]));
  const objects = serviceWithPods(service, pods.slice(0, replicas));
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects });
  const client = lab.pod('client');
  const answers = await Capture.start(client, 'in', `dst port ${DDS_PORTS.data}`);
  const announcements = await Capture.start(client, 'out', `dst port ${DDS_PORTS.discovery}`);
  startDdsClient(client, roles.client, VIP, { lease: LEASE });
  const link = new Link(pods, programs, kubePortal, answers, announcements);
  await kubePortal.until(async () => link.announced.length >= 2, 'the client has started');
  return link;
}

/**
 * A replica is taken from a link, and another one takes over before the client announces itself again.
 * @param take does what takes it
 */
async function takeReplica(t: Test, link: Link, replica: Pod, take: () => unknown): Promise<void> {
  await link.waitForSamples((source) => source === replica.address4);
  const before = link.samples.length;
  await take();
  await link.waitForSamples((source) => source !== replica.address4);
  const samples = link.samples.slice(before - 1);
  const next = samples.findIndex(({ source }) => source !== replica.address4);
  const [last, first] = [item(samples, next - 1).time, item(samples, next).time];
  t.same(
    link.announced.filter((time) => time > last && time < first),
    [],
    'the client has not announced itself to everyone',
  );
  t.comment(`no sample for ${(first - last).toFixed(3)} s`);
}

for (const [what, roles] of [
  ['sends and listens', PING],
  ['only listens', LISTEN],
] as const) {
  t.test(`a link whose replica dies goes on with another, where the client ${what}`, async (t) => {
    const link = await linkFor(t, roles);
    for (let kill = 1; kill <= 4; kill++) {
      const replica = await link.replica();
      await takeReplica(t, link, replica, () => link.replicas.get(replica)?.stop('SIGKILL'));
      t.not(await link.replica(), replica);
      link.replicas.set(replica, startDdsServer(replica, roles.replica, VIP));
    }
  });
}

t.test(
  'a link whose replica leaves the Service goes on with another, although its client only listens',
  async (t) => {
    const link = await linkFor(t, LISTEN);
    const replica = await link.replica();
    const others = link.pods.filter((pod) => pod !== replica);
    await takeReplica(t, link, replica, () => link.kubePortal.setManifest(serviceWithPods(ROBOT, others)));
  },
);

t.test(
  'replicas that join a Service with follow hear of the client before it announces itself',
  async (t) => {
    const link = await linkFor(t, PING, FOLLOW, 1);
    await link.waitForSamples(() => true);
    const joined = Date.now() / 1000;
    link.kubePortal.setManifest(serviceWithPods(FOLLOW, link.pods));
    for (const { name, address4 } of link.pods.slice(1)) {
      await link.waitForSamples((source) => source === address4);
      const first = link.samples.find(({ source }) => source === address4) as CapturedDatagram;
      t.same(
        link.announced.filter((time) => time > joined && time < first.time),
        [],
        'the client has not announced itself to everyone',
      );
      t.comment(`the first sample of ${name} came after ${(first.time - joined).toFixed(3)} s`);
    }
  },
);
