import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { ListedPin, PinsReport } from '../../lib/admin/pins.js';
import { startBackend } from '../lab/backend.js';
import { flood } from '../lab/client.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { settled } from '../lab/settled.js';
import { count } from '../lab/tally.js';
import { homes, moved, SERVICE, UDP, VIPS } from './homes.js';

const BIN = 'bin/kube-portal';
const CLIENTS = 60;
const WEB = 'default/echo';

t.setTimeout(0);

/** A node with two workers, pods that tell their name, and many clients. */
class Stage {
  private constructor(
    readonly lab: Lab,
    readonly kubePortal: KubePortal,
    readonly client: Pod,
    readonly sources: readonly string[],
  ) {}

  static async forTest(
    t: Test,
    names: readonly string[],
    served: number,
    more: readonly string[] = [],
  ): Promise<Stage> {
    const lab = await Lab.forTest(t, { pods: ['client', ...names] });
    for (const name of names) {
      const ports = { tcp: { 8080: 'name' }, udp: { 5353: 'name', 5354: 'name' } } as const;
      await startBackend(lab.pod(name), ports);
    }
    const objects = objectsWith(lab, names.slice(0, served));
    const flags = ['--redirect=address', '--workers=2', ...more];
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
    const client = lab.pod('client');
    return new Stage(lab, kubePortal, client, await client.addAddresses(CLIENTS));
  }

  /** Makes these pods the endpoints. */
  async serve(names: readonly string[]): Promise<void> {
    this.kubePortal.setManifest(objectsWith(this.lab, names));
    await settled(this.kubePortal, names.length);
  }

  /** Each client's pod. In a fixed order, 60 clients of 3 pods look pinned although they are not. */
  homes(t: Test, when: string): Promise<Map<string, string>> {
    const shuffled = this.sources.map((source) => [Math.random(), source] as const).sort(([a], [b]) => a - b);
    const order = shuffled.map(([, source]) => source);
    return homes(t, this.client, order, when);
  }

  /** Runs `kube-portal pins`. */
  pins(...args: readonly string[]) {
    const command = [BIN, 'pins', ...args, `--state-dir=${this.kubePortal.stateDirectory}`];
    return this.lab.node.exec(process.execPath, command);
  }

  async list(...args: readonly string[]): Promise<readonly ListedPin[]> {
    const { stdout } = await this.pins(...args, '-o', 'json');
    return (JSON.parse(stdout) as PinsReport).pins;
  }
}

function objectsWith(lab: Lab, names: readonly string[]) {
  return serviceWithPods(
    SERVICE,
    names.map((name) => lab.pod(name)),
  );
}

t.test('a rolling update ends even, and each client moves once', async (t) => {
  const stage = await Stage.forTest(t, [...'abcdef'], 3);
  let before = await stage.homes(t, 'at first');
  t.same(count([...before.values()]), { a: 20, b: 20, c: 20 });
  const moves = new Map(stage.sources.map((source) => [source, 0]));
  // As a Deployment of three replicas with maxSurge 1: a new pod comes, then an old one goes.
  for (const pods of ['abcd', 'bcd', 'bcde', 'cde', 'cdef', 'def']) {
    await stage.serve([...pods]);
    const after = await stage.homes(t, `with ${pods}`);
    for (const source of moved(before, after)) moves.set(source, (moves.get(source) ?? 0) + 1);
    before = after;
  }
  t.same(count([...before.values()]), { d: 20, e: 20, f: 20 });
  t.same(count([...moves.values()].map(String)), { 1: CLIENTS });
  t.ok(
    (await stage.list(WEB)).every((pin) => pin.moves === 1),
    'the list says so too',
  );
  const metrics = await stage.kubePortal.metrics();
  t.match(metrics, 'kubeportal_affinity_pins{namespace="default",service="echo",endpoint="default/d"} 20');
  t.notMatch(metrics, 'endpoint="default/a"', 'a pod that is gone has no series');
  t.match(metrics, `kubeportal_affinity_pins_held ${CLIENTS}`);
  t.match(metrics, 'kubeportal_affinity_pins_max 65536');
});

t.test('pins are listed and released', async (t) => {
  const stage = await Stage.forTest(t, [...'abc'], 3);
  const [one, other] = [item(stage.sources, 0), item(stage.sources, 1)];
  t.equal((await stage.pins()).stdout, 'no client is pinned\n');
  const found = await stage.homes(t, 'at first');
  const pins = await stage.list();
  t.equal(pins.length, CLIENTS);
  for (const { service, portal, client, endpoint, ageMs, leftMs, moves } of pins) {
    t.same([service, portal, moves], [WEB, null, 0]);
    t.equal(endpoint, `default/${found.get(client)}`);
    t.ok(ageMs >= 0 && leftMs > 10_000_000 && leftMs <= 10_800_000);
  }
  t.equal((await stage.list('default/other')).length, 0);
  t.match(await stage.list('--client', one), [{ client: one }]);
  const { stdout } = await stage.pins(WEB);
  t.match(stdout, /^SERVICE +CLIENT +ENDPOINT +AGE +LEFT +MOVES\n/);
  t.match(stdout, new RegExp(`^${WEB} +${one} +default/[abc] +\\d.*s +2h59m +0$`, 'm'));

  t.match(await stage.pins('release', WEB, one), { code: 0, stdout: '1 released\n' });
  t.same(await stage.list('--client', one), []);
  t.equal((await stage.list()).length, CLIENTS - 1);
  const again = await stage.pins('release', WEB, one);
  t.equal(again.code, 1);
  t.match(again.stderr, `error: ${WEB} has no pin of ${one}`);
  t.same(
    moved(found, await stage.homes(t, 'after the release')).filter((source) => source !== one),
    [],
  );

  for (const [args, says] of [
    [['web'], /service: "web" is not the namespace\/name of a Service/],
    [['--client', 'nobody'], /client: "nobody" is not an IP address, or the 24 or 8 hexadecimal digits/],
    [['release', WEB], /missing required argument 'client'/],
  ] as const) {
    const { code, stderr } = await stage.pins(...args);
    t.equal(code, 2);
    t.match(stderr, says);
  }
  t.match(await stage.list('--client', other), [{ client: other }], 'the others stay');

  // In another network namespace, where it could serve.
  const flags = ['--redirect=address', `--state-dir=${stage.kubePortal.stateDirectory}`];
  const second = KubePortal.launch(stage.lab.outside, { objects: [], flags });
  t.teardown(() => second.dispose());
  t.equal(await second.program.exited, 1);
  t.match(second.program.stderr, /--state-dir .* is in use by another kube-portal; stop it, or give each/);
  t.equal((await stage.list()).length, CLIENTS, 'the first one still answers');
});

t.test('pins last over SIGTERM and SIGKILL, also with another number of workers', async (t) => {
  const stage = await Stage.forTest(t, [...'abc'], 3);
  const { kubePortal } = stage;
  const first = await stage.homes(t, 'at first');
  const pinned = new Map((await stage.list()).map((pin) => [pin.client, pin]));
  const check = async (when: string) => {
    const restored = await stage.list();
    t.equal(restored.length, CLIENTS, `all are there ${when}`);
    for (const { client, endpoint, ageMs } of restored) {
      t.equal(endpoint, pinned.get(client)?.endpoint);
      t.ok(ageMs >= (pinned.get(client)?.ageMs ?? 0), 'they grow older');
    }
    t.same(moved(first, await stage.homes(t, when)), []);
    t.match(await kubePortal.metrics(), /affinity_pins\{[^}]*"default\/a"\} 20\n/);
  };

  t.equal(await kubePortal.stop(), 0);
  await kubePortal.startAgain();
  await check('after SIGTERM');

  const [late] = await stage.client.addAddresses(1);
  const lateHome = (await homes(t, stage.client, [late as string], 'the late one')).get(late as string);
  const path = join(kubePortal.stateDirectory, 'pins.journal');
  await kubePortal.until(async () => readFileSync(path, 'utf8').includes(`"${late}"`), 'the pin is saved');
  await kubePortal.kill9();
  await kubePortal.startAgain(['--redirect=address', '--workers=3']);
  t.match(await stage.list('--client', late as string), [{ endpoint: `default/${lateHome}` }]);
  t.equal((await stage.pins('release', WEB, late as string)).code, 0);
  await check('after SIGKILL');

  await kubePortal.kill9();
  writeFileSync(path, Buffer.concat([readFileSync(path).subarray(0, 2000), Buffer.alloc(100, '\n')]));
  await kubePortal.startAgain();
  const lines = kubePortal.log.filter(({ msg }) => msg.includes('pins.journal'));
  t.match(lines, [{ level: 40, msg: /damaged from line \d+ on; the lines before that are used/ }]);
  await stage.homes(t, 'after the damage');

  await kubePortal.kill9();
  writeFileSync(path, 'something else\n');
  await kubePortal.startAgain();
  t.match(
    kubePortal.log.filter(({ msg }) => msg.includes('pins.journal')),
    [{ level: 40, msg: /no such file, or one of another version; the file is ignored/ }],
  );
  t.equal((await stage.pins()).stdout, 'no client is pinned\n');
  t.same(count([...(await stage.homes(t, 'without it')).values()]), { a: 20, b: 20, c: 20 });

  await kubePortal.stop();
  const cleanup = [BIN, 'run', '--cleanup', `--state-dir=${kubePortal.stateDirectory}`];
  await stage.lab.node.must(process.execPath, cleanup);
  t.notOk(existsSync(kubePortal.stateDirectory), 'cleanup removes them');
});

t.test('a flood of clients meets the cap, and who comes often keeps the pod', async (t) => {
  const maxPins = 2000;
  const stage = await Stage.forTest(t, [...'abc'], 3, [`--max-pins=${maxPins}`]);
  const { kubePortal, client } = stage;
  const [honest = ''] = stage.sources;
  const home = await homes(t, client, [honest], 'at first');
  await client.ownRange('10.97.0.0/16');
  for (let round = 0; round < 8; round++) {
    const spoofed = { firstSource: `10.97.${round * 8}.1`, sources: 1500, perSecond: 6000 };
    await flood(client, { address: VIPS.IPv4, port: UDP.port, ...spoofed });
    t.same(moved(home, await homes(t, client, [honest], 'in the flood')), []);
  }
  const metrics = await kubePortal.metrics();
  const held = Number(/^kubeportal_affinity_pins_held (\d+)$/m.exec(metrics)?.[1]);
  const evicted = Number(/^kubeportal_affinity_pins_evicted_total (\d+)$/m.exec(metrics)?.[1]);
  t.ok(held > maxPins / 2 && held <= maxPins, `${held} pins`);
  t.ok(held + evicted > 2 * maxPins, `${evicted} evicted`);
  t.equal((await stage.list()).length, held);
  t.equal(await kubePortal.stop(), 0);
  const { size } = statSync(join(kubePortal.stateDirectory, 'pins.journal'));
  t.ok(size < 3 << 20, `a journal of ${size} bytes`);
  await kubePortal.startAgain();
  t.same(moved(home, await homes(t, client, [honest], 'in the next run')), []);
});
