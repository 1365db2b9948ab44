import t from 'tap';
import { parseService } from '../../lib/model/parse-service.js';
import { waitForPings } from '../lab/ddsperf.js';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import type { Program } from '../lab/program.js';
import { configIn, EXAMPLES, objectsIn, SERVICES, serveAll, textOf } from './ros2-examples.js';

t.setTimeout(0);

/** A robot and a pod of each run in the test below. */
const CYCLONE = ['cyclone-udp', 'cyclone-tcp', 'cyclone-nodeport', 'fleet-behind-nat'];
const FAN_OUT = 'discovery-fan-out';

/** Cyclone DDS' settings of the pods and of the robots in an example. */
function settingsIn(example: string): { pods: string; robots: string } {
  const objects = objectsIn(example);
  const [container] =
    objects.find(({ kind }) => kind === 'Deployment')?.spec?.template?.spec.containers ?? [];
  const pods = container?.env?.find(({ name }) => name === 'CYCLONEDDS_URI')?.value ?? '';
  return { pods, robots: configIn(example, 'robot', 'cyclonedds.xml') };
}

/** The test that runs a real program with an example. */
function testOf(example: string): string | null {
  if ([...CYCLONE, FAN_OUT].includes(example)) return 'ros2-examples';
  if (example.startsWith('fastdds-')) return 'fastdds-examples';
  return example === 'mqtt-active-standby' ? 'mqtt-example' : null;
}

t.test('every example says which test runs a real program with it', async (t) => {
  for (const example of EXAMPLES) {
    const test = testOf(example);
    const line = test === null ? '# Not tested: ' : `in test/e2e/${test}.test.ts.`;
    t.ok(textOf(example).includes(line), example);
  }
});

t.test('every Service is read without a refusal', async (t) => {
  for (const service of SERVICES) {
    t.match(parseService(service), { ok: true, value: { refused: [] } }, service.metadata.name);
  }
});

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
  const complaints = kubePortal.log.filter(({ level }) => level >= 40).map(({ msg }) => msg);
  // With --carrier=kernel, it is one that Services with RTPS annotations have to be relayed.
  t.same(
    complaints.filter((msg) => !/^the kernel cannot carry .* annotation about RTPS/.test(msg)),
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
  for (const example of CYCLONE) {
    const settings = settingsIn(example);
    const pongs = pods.map((pod) => start(pod, settings.pods, 'pong'));
    const ping = start(robots[example] ?? lab.pod('robot'), settings.robots, 'ping', '20Hz');
    await waitForPings(ping);
    t.equal(partnersOf(ping), 1, `${example}: one partner`);
    await Promise.all([ping, ...pongs].map((program) => program.stop('SIGKILL')));
  }

  const { pods: settings } = settingsIn(FAN_OUT);
  for (const pod of pods.slice(1)) start(pod, settings, 'pong');
  const ping = start(item(pods, 0), settings, 'ping', '20Hz');
  await waitForPings(ping);
  await ping.waitFor(() => (partnersOf(ping) === 2 ? true : null), 'two partners, the other pods');
});

function partnersOf(ping: Program): number {
  return [...ping.stdout.matchAll(/participant \S+: new$/gm)].length;
}
