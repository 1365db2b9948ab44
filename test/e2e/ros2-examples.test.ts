import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parseAllDocuments } from 'yaml';
import { parseService } from '../../lib/model/parse-service.js';
import { waitForPings } from '../lab/ddsperf.js';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { endpointSlice } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';

t.setTimeout(0);

const FOLDER = 'examples/ros2';
const FILES = readdirSync(FOLDER);
/** Those that a test below runs with a real program. */
const TESTED = ['cyclone-udp', 'cyclone-tcp', 'cyclone-nodeport', 'fleet-behind-nat', 'discovery-fan-out'];

interface KubernetesObject {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: {
    readonly clusterIP?: string;
    readonly template?: {
      readonly spec: { readonly containers: readonly { readonly env?: readonly EnvironmentEntry[] }[] };
    };
  };
  readonly data?: Readonly<Record<string, string>>;
}

interface EnvironmentEntry {
  readonly name: string;
  readonly value?: string;
}

function objectsIn(file: string): KubernetesObject[] {
  const documents = parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8'));
  return documents.map((document) => document.toJS() as KubernetesObject);
}

const SERVICES = FILES.flatMap(objectsIn).filter(
  ({ kind, spec }) => kind === 'Service' && spec?.clusterIP !== 'None',
);

/** Cyclone DDS' settings of the pods and of the robots in an example. */
function settingsIn(example: string): { pods: string; robots: string } {
  const objects = objectsIn(`${example}.yaml`);
  const [container] =
    objects.find(({ kind }) => kind === 'Deployment')?.spec?.template?.spec.containers ?? [];
  const pods = container?.env?.find(({ name }) => name === 'CYCLONEDDS_URI')?.value ?? '';
  const robots = objects.find(({ kind }) => kind === 'ConfigMap')?.data?.['cyclonedds.xml'] ?? '';
  return { pods, robots };
}

t.test('every example says whether a real program runs with it in a test', async (t) => {
  for (const file of FILES) {
    const isTested = TESTED.includes(file.replace('.yaml', ''));
    const line = isTested ? /^# Tested: .*test\/e2e\/ros2-examples\.test\.ts\.$/m : /^# Not tested: /m;
    t.match(readFileSync(join(FOLDER, file), 'utf8'), line, file);
  }
});

t.test('every Service is read without a refusal', async (t) => {
  for (const service of SERVICES) {
    t.match(parseService(service), { ok: true, value: { refused: [] } }, service.metadata.name);
  }
});

/** The Services of all examples, with the same three pods behind each. */
async function serveAll(t: Test): Promise<{ lab: Lab; pods: readonly Pod[]; kubePortal: KubePortal }> {
  const lab = await Lab.forTest(t, { pods: ['robot', 'a', 'b', 'c'] });
  const pods = ['a', 'b', 'c'].map((name) => lab.pod(name));
  const slices = SERVICES.map((service) => {
    const parsed = parseService(service);
    const ports = parsed.ok ? parsed.value.ports : [];
    return endpointSlice({ name: service.metadata.name, ports: ports.map(portOf) }, 'IPv4', pods);
  });
  const flags = ['--manifest', FOLDER, '--workers', '2'];
  return { lab, pods, kubePortal: await KubePortal.forTest(t, lab.node, { objects: slices, flags }) };
}

function portOf({ name, protocol, port }: { name: string; protocol: string; port: number }) {
  return { name, protocol: protocol === 'UDP' ? ('UDP' as const) : ('TCP' as const), port };
}

function start(host: Host, settings: string, ...args: readonly string[]): Program {
  return host.spawn('ddsperf', args, { env: { CYCLONEDDS_URI: settings } });
}

t.test('kube-portal serves them all, and real participants of Cyclone DDS meet through them', async (t) => {
  const { lab, pods, kubePortal } = await serveAll(t);
  const { portals } = await kubePortal.status();
  t.same(
    portals
      .map(({ service }) => service.replace('default/', ''))
      .filter((name, i, all) => all.indexOf(name) === i)
      .sort(),
    SERVICES.map(({ metadata }) => metadata.name).sort(),
  );
  for (const { key, state } of portals) t.equal(state, 'serving', key);
  t.same(
    kubePortal.log.filter(({ level }) => level >= 40).map(({ msg }) => msg),
    [],
    'no complaints',
  );

  // A robot whose router forwards its ports and has the address that the example stands in for.
  const behindNat = await lab.addRemote('behind', 1500);
  for (const rule of [
    ['POSTROUTING', '-o', 'eth0', '-j', 'MASQUERADE'],
    [
      'PREROUTING',
      '-i',
      'eth0',
      '-p',
      'udp',
      '--dport',
      '7410:7411',
      '-j',
      'DNAT',
      '--to',
      behindNat.address4,
    ],
  ]) {
    await lab.outside.must('iptables', ['-t', 'nat', '-A', ...rule]);
  }
  const robots: Readonly<Record<string, Host>> = {
    'cyclone-nodeport': lab.outside,
    'fleet-behind-nat': behindNat,
  };
  for (const example of TESTED.filter((example) => example !== 'discovery-fan-out')) {
    const settings = settingsIn(example);
    const pongs = pods.map((pod) => start(pod, settings.pods, 'pong'));
    const ping = start(robots[example] ?? lab.pod('robot'), settings.robots, 'ping', '20Hz');
    await waitForPings(ping);
    t.equal(partnersOf(ping), 1, `${example}: one partner`);
    await Promise.all([ping, ...pongs].map((program) => program.stop('SIGKILL')));
  }

  const { pods: settings } = settingsIn('discovery-fan-out');
  for (const pod of pods.slice(1)) start(pod, settings, 'pong');
  const ping = start(item(pods, 0), settings, 'ping', '20Hz');
  await waitForPings(ping);
  await ping.waitFor(() => (partnersOf(ping) === 2 ? true : null), 'two partners, the other pods');
});

function partnersOf(ping: Program): number {
  return [...ping.stdout.matchAll(/participant \S+: new$/gm)].length;
}
