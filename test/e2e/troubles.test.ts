import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startBackend } from '../lab/backend.js';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { type KubernetesObject, serviceWithPods } from '../lab/manifest.js';
import { LAUNCHERS, pathWith } from '../lab/path.js';
import { type Program, runOrThrow } from '../lab/program.js';
import { tracesIn } from '../lab/traces.js';

const WEB = { name: 'web', clusterIPs: ['10.96.0.10'], ports: [{ port: 80 }] };
const OTHER = { name: 'other', clusterIPs: ['10.96.0.11'], ports: [{ port: 80 }] };
const DUAL = { name: 'web', clusterIPs: ['10.96.0.10', 'fd00:96::10'], ports: [{ port: 80 }] };
const SYNC = '--iptables-sync-period=1s';

t.setTimeout(0);
t.jobs = 2;

const directory = mkdtempSync(join(tmpdir(), 'kube-portal-troubles-'));
t.teardown(() => rmSync(directory, { recursive: true }));

type Tap = Parameters<typeof Lab.forTest>[0];

/** A lab with a client and a web server, and what serves it with the options given. */
async function setUp(t: Tap) {
  const lab = await Lab.forTest(t, { pods: ['client', 'a'] });
  const pods = [lab.pod('a')];
  await startBackend(item(pods, 0), { tcp: { 80: 'http' } });
  return {
    lab,
    objects: (options = WEB): KubernetesObject[] => serviceWithPods(options, pods),
    isServed: (address = '10.96.0.10') => isAnswered(lab.pod('client'), address),
  };
}

async function isAnswered(client: Host, authority: string): Promise<boolean> {
  return (await client.exec('curl', ['-sS', '--max-time', '5', `http://${authority}`])).stdout === 'a\n';
}

/** A program that holds a TCP port of the node. */
async function takePort(node: Host, port: number): Promise<Program> {
  const holder = node.spawn('socat', ['-dd', `TCP-LISTEN:${port},fork`, 'EXEC:cat']);
  await holder.waitForOutput(/listening on/);
  return holder;
}

/** Starts one that must give up: resolves to what it said. Nothing of it may stay. */
async function refusal(t: Tap & RefusalChecks, node: Host, options: Parameters<typeof KubePortal.launch>[1]) {
  const kubePortal = KubePortal.launch(node, options);
  t.teardown(() => kubePortal.dispose());
  const { code, stderr } = await kubePortal.program.finish();
  t.equal(code, 1, 'exit code');
  t.same(await tracesIn(node), [], 'no rule and no address');
  t.notOk(existsSync(kubePortal.stateDirectory), 'no state');
  return stderr;
}

type RefusalChecks = Pick<typeof t, 'equal' | 'same' | 'notOk'>;

t.test('a NodePort that another program holds', { buffered: true }, async (t) => {
  const { lab, objects, isServed } = await setUp(t);
  const holder = await takePort(lab.node, 30080);
  const web = { ...WEB, ports: [{ port: 80, nodePort: 30080 }] };
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects: objects(web), flags: [SYNC] });
  t.ok(await isServed(), 'the ClusterIP is served');
  const message =
    /^NodePort 0\.0\.0\.0:30080\/TCP is taken by another program; stop it \(ss -lntup shows it\) or change the Service; trying again$/;
  const said = kubePortal.log.filter(({ msg }) => message.test(msg));
  t.match(said, [{ level: 40, portal: 'default/web:/TCP/IPv4' }], 'said once, with the name of the portal');
  t.match((await kubePortal.status()).portals, [{ state: 'serving', problems: [message] }]);
  await holder.stop('SIGKILL');
  const nodePort = () => isAnswered(lab.outside, '192.0.2.1:30080');
  await kubePortal.until(nodePort, 'the NodePort is served once it is free');
  t.same(item((await kubePortal.status()).portals, 0).problems, []);
});

t.test('proxy ports that other programs hold', { buffered: true }, async (t) => {
  const { lab, objects, isServed } = await setUp(t);
  const holder = await takePort(lab.node, 29_992);
  await t.test('another port of the range is used', async (t) => {
    const flags = ['--redirect=iptables', '--proxy-port-range=29991-29992'];
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects: objects(), flags });
    t.ok(await isServed());
    t.equal(item((await kubePortal.status()).portals, 0).proxyPort, 29_991);
  });
  await t.test('without a free port, the portal waits and serves once there is one', async (t) => {
    const flags = ['--redirect=iptables', '--proxy-port-range=29992-29992', SYNC];
    const kubePortal = KubePortal.launch(lab.node, { objects: objects(), flags });
    t.teardown(() => kubePortal.dispose());
    const said = await kubePortal.waitForLog(({ portal }) => portal !== undefined);
    t.match(said, { level: 40, msg: /--proxy-port-range 29992-29992 are in use.*give a wider range/ });
    t.equal(await kubePortal.healthz(), 503);
    await holder.stop('SIGKILL');
    await kubePortal.ready();
    t.ok(await isServed());
  });
  await t.test('if portals are more than ports, the others are served', async (t) => {
    const flags = ['--redirect=iptables', '--proxy-port-range=29992-29992'];
    const both = [...objects(), ...objects(OTHER)];
    const kubePortal = KubePortal.launch(lab.node, { objects: both, flags });
    t.teardown(() => kubePortal.dispose());
    await kubePortal.waitForLog(({ msg }) => msg === 'serving');
    t.same([await isServed(), await isServed('10.96.0.11')].sort(), [false, true]);
    t.equal(await kubePortal.healthz(), 503);
    t.match((await kubePortal.status()).portals.find(({ state }) => state === 'pending')?.problems, [
      /give a wider range/,
    ]);
  });
});

t.test('a state directory that cannot be written', { buffered: true }, async (t) => {
  const { lab, objects, isServed } = await setUp(t);
  const file = join(directory, 'file');
  writeFileSync(file, '');
  const said = await refusal(t, lab.node, { objects: objects(), flags: [`--state-dir=${file}/state`] });
  t.match(
    said,
    /^error: --state-dir .*\/file\/state cannot be written \(ENOTDIR.*\); give a writable directory/,
  );

  await t.test('while it runs', async (t) => {
    const flags = ['--redirect=iptables', SYNC];
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects: objects(), flags });
    rmSync(kubePortal.stateDirectory, { recursive: true });
    writeFileSync(kubePortal.stateDirectory, 'in the way');
    kubePortal.setManifest([...objects(), ...objects(OTHER)]);
    await kubePortal.until(() => isServed('10.96.0.11'), 'the new Service is served all the same');
    await kubePortal.waitForLog(({ msg }) =>
      /proxy ports in --state-dir .* make the directory writable/.test(msg),
    );
    rmSync(kubePortal.stateDirectory);
    const isWritten = async () => existsSync(join(kubePortal.stateDirectory, 'ports.json'));
    await kubePortal.until(isWritten, 'the state is written when it can be');
    t.equal(await kubePortal.stop(), 0);
    t.notOk(existsSync(kubePortal.stateDirectory));
  });
});

t.test(
  'a state directory with something else in it than what was left there',
  { buffered: true },
  async (t) => {
    const { lab, objects, isServed } = await setUp(t);
    for (const [driver, file] of [
      ['iptables', 'ports.json'],
      ['address', 'addresses.json'],
    ] as const) {
      const state = mkdtempSync(join(directory, 'hostile-'));
      const files = ['ports.json', 'addresses.json', 'ports.json.new', 'addresses.json.new', '.probe'];
      for (const name of files) await runOrThrow(['mkfifo', join(state, name)]);
      const flags = [`--redirect=${driver}`, `--state-dir=${state}`];
      const kubePortal = await KubePortal.forTest(t, lab.node, { objects: objects(), flags });
      t.ok(await isServed(), driver);
      await kubePortal.waitForLog(({ msg }) =>
        msg.startsWith(
          `${join(state, file)} cannot be used: it is a FIFO and not a file; the file is ignored`,
        ),
      );
      await kubePortal.kill9();
      t.ok(statSync(join(state, file)).isFile(), `${file} is written`);
      await kubePortal.startAgain();
      t.equal(await kubePortal.stop(), 0);
      t.same(await tracesIn(lab.node), []);
      t.notOk(existsSync(state), 'nothing is left');
    }
  },
);

t.test('iptables is not installed', { buffered: true }, async (t) => {
  const { lab, objects, isServed } = await setUp(t);
  const env = { PATH: await pathWith(t, LAUNCHERS) };
  const said = await refusal(t, lab.node, { objects: objects(), env, flags: ['--redirect=iptables'] });
  t.match(said, /^error: iptables is not installed: apt-get install iptables, or use --redirect=address\n$/);

  const kubePortal = await KubePortal.forTest(t, lab.node, { objects: objects(), env });
  t.ok(await isServed(), 'auto serves');
  t.equal((await kubePortal.status()).driver, 'address');
  for (const family of ['IPv4', 'IPv6']) {
    await kubePortal.waitForLog(({ msg }) =>
      msg.startsWith(
        `${family} is served with addresses on the loopback device, not with iptables: iptables is not`,
      ),
    );
  }
});

t.test('API ports that other programs hold', { buffered: true }, async (t) => {
  const { lab, objects } = await setUp(t);
  for (const [port, flag, address] of [
    [10256, '--healthz-bind-address', '0.0.0.0'],
    [10249, '--metrics-bind-address', '127.0.0.1'],
  ] as const) {
    const holder = await takePort(lab.node, port);
    const place = `${address}:${port}`.replaceAll('.', '\\.');
    t.match(
      await refusal(t, lab.node, { objects: objects() }),
      new RegExp(
        `^error: ${flag}: cannot listen on ${place}: another program .* give another address:port, or '' for none`,
      ),
    );
    await holder.stop('SIGKILL');
  }
});

t.test('/healthz waits for the redirects', { buffered: true }, async (t) => {
  const { lab, objects, isServed } = await setUp(t);
  const broken = join(directory, 'broken');
  // The probe at the start goes through; what is for the Service does not.
  const restore = `script=$(cat)
    case "$script" in *PROBE*) ;; *) [ ! -e ${broken} ] || { echo "the lock is held by another app" >&2; exit 4; } ;; esac
    echo "$script" | /usr/sbin/iptables-nft-restore "$@"`;
  const path = await pathWith(t, [], { 'iptables-nft-restore': restore });
  writeFileSync(broken, '');
  const env = { PATH: `${path}:${process.env.PATH}` };
  const flags = ['--redirect=iptables', SYNC];
  const kubePortal = KubePortal.launch(lab.node, { objects: objects(DUAL), env, flags });
  t.teardown(() => kubePortal.dispose());
  await kubePortal.waitForLog(({ msg }) => msg === 'serving');
  t.equal(await kubePortal.healthz(), 503);
  t.ok(kubePortal.log.some(({ level, msg }) => level === 50 && /the lock is held/.test(msg)));
  t.ok(await isServed('[fd00:96::10]'), 'the other family is served at once');
  const states = (await kubePortal.status()).portals.map(({ family, state }) => [family, state]);
  t.same(Object.fromEntries(states), { IPv4: 'pending', IPv6: 'serving' });
  rmSync(broken);
  await kubePortal.ready();
  t.ok(await isServed());
  t.equal(kubePortal.log.filter(({ msg }) => /the lock is held/.test(msg)).length, 1, 'said once');
});

t.test('a node without IPv6 serves dual-stack Services over IPv4', { buffered: true }, async (t) => {
  const { lab, objects, isServed } = await setUp(t);
  await lab.node.sysctl({ 'net/ipv6/conf/lo/disable_ipv6': '1' });
  for (const driver of ['iptables', 'address']) {
    const flags = [`--redirect=${driver}`, SYNC];
    const both = [
      ...objects(DUAL),
      ...objects({ ...DUAL, name: 'two', clusterIPs: ['10.96.0.11', 'fd00:96::11'] }),
    ];
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects: both, flags });
    t.ok(await isServed(), driver);
    t.match(
      kubePortal.log.filter(({ level }) => level >= 40),
      { length: 1, 0: { family: 'IPv6', msg: 'VIPs of IPv6 are not served on this node' } },
      'said once',
    );
    const v6 = (await kubePortal.status()).portals.filter(({ family }) => family === 'IPv6');
    t.match(v6, [{ state: 'unsupported', problems: [/^VIPs of IPv6 are not served: .*(?:load|enable) /] }]);
    t.equal(await kubePortal.stop(), 0);
    t.same(await tracesIn(lab.node), []);
  }
});
