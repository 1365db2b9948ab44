import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { askTcp, askUdp, HeldConnections } from '../lab/client.js';
import { item } from '../lab/items.js';
import { KubePortal, type KubePortalOptions, RELAYED } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import type { Result } from '../lab/program.js';
import { notMachineRoot } from '../lab/rights.js';
import { ECHO, VIPS } from '../lab/services.js';
import { tracesIn } from '../lab/traces.js';

const BIN = fileURLToPath(new URL('../../../bin/kube-portal', import.meta.url));
const OTHER = { ...ECHO, name: 'other', clusterIPs: ['10.96.0.11'] };

/** What each driver's rules or addresses look like once they are damaged while nobody looks. */
const DRIVERS = {
  iptables: {
    sample: /^-A .*-d 10\.96\.0\.10\/32 -p tcp/,
    damage: 'iptables -t nat -F && iptables -t nat -X && ip6tables -t nat -F && iptables -t filter -F INPUT',
  },
  address: {
    sample: /^10\.96\.0\.10\/32$/,
    damage: 'ip addr del 10.96.0.10/32 dev lo && ip addr del fd00:96::10/128 dev lo',
  },
} as const;

/** What ends a program that does not listen for it. */
const MEANINGLESS = ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGVTALRM', 'SIGIO', 'SIGXFSZ'] as const;

t.setTimeout(0);
t.jobs = 2;

for (const [driver, { sample, damage }] of Object.entries(DRIVERS)) {
  const isOurs = (line: string) => sample.test(line);
  const options = { flags: [`--redirect=${driver}`, '--iptables-sync-period=1s', '--workers=2'] };
  /** What the kernel carries does not end with the process; carrier-tcp-life.test.ts has that. */
  const relayed = [...options.flags, RELAYED];

  t.test(`${driver}: signals, kills and repairs`, { buffered: true }, async (t) => {
    const lab = await Lab.forTest(t, { pods: ['client', 'a'] });
    const client = lab.pod('client');
    const pods = [lab.pod('a')];
    await startBackend(item(pods, 0), { tcp: { 7: 'echo' }, udp: { 7: 'echo' } });
    const objects = serviceWithPods(ECHO, pods);
    const start = (t: Tap, more: Partial<KubePortalOptions> = {}) =>
      KubePortal.forTest(t, lab.node, { ...options, objects, ...more });
    const cleanup = (kubePortal: KubePortal) =>
      lab.node.exec(process.execPath, [BIN, 'run', '--cleanup', '--state-dir', kubePortal.stateDirectory]);

    for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) {
      await t.test(`${signal} leaves nothing behind`, async (t) => {
        const kubePortal = await start(t);
        await isServed(t, client);
        t.ok((await tracesIn(lab.node)).some(isOurs), 'there is something to remove');
        t.equal(await kubePortal.program.stop(signal), 0, 'exit code');
        await isClean(t, lab, kubePortal);
      });
    }

    await t.test(
      'open connections may finish before it ends, and no longer than the drain time',
      async (t) => {
        const kubePortal = await start(t, { flags: [...relayed, '--drain-timeout=60s'] });
        const held = HeldConnections.open(client, { address: VIPS[0], port: 7, connections: 20 });
        t.equal((await held.round()).answered, 20);
        const stopped = kubePortal.stop();
        await kubePortal.until(async () => (await kubePortal.healthz()) !== 200, 'it is on its way out');
        t.same(await held.round(), { answered: 20, errors: [] }, 'they go on');
        t.ok(kubePortal.program.running, 'it waits for them');
        await isServed(t, client);
        await held.close();
        t.equal(await stopped, 0, 'exit code once they are closed');
        await isClean(t, lab, kubePortal);

        const hasty = await start(t, { flags: [...relayed, '--drain-timeout=0'] });
        const cut = HeldConnections.open(client, { address: VIPS[0], port: 7, connections: 5 });
        t.equal((await cut.round()).answered, 5);
        t.equal(await hasty.stop(), 0, 'exit code without a time to drain');
        t.same(await cut.round(), { answered: 0, errors: ['ECONNRESET'] }, 'cut off, and told so');
        await cut.close();
        await isClean(t, lab, hasty);
      },
    );

    await t.test('other signals change nothing and open no debugger', async (t) => {
      const kubePortal = await start(t);
      const { pid } = kubePortal.program;
      for (const signal of MEANINGLESS) {
        process.kill(pid, signal);
        await kubePortal.waitForLog((line) => line.signal === signal);
      }
      await isServed(t, client);
      t.notMatch(await lab.node.must('ss', ['-Hltn']), /:9229 /, 'no debugger');
      t.equal(await kubePortal.stop(), 0);
      await isClean(t, lab, kubePortal);
    });

    await t.test('after a second signal, connections end at once and rules are removed', async (t) => {
      const kubePortal = await start(t, { flags: [...relayed, '--drain-timeout=60m'] });
      const held = HeldConnections.open(client, { address: VIPS[0], port: 7, connections: 1 });
      await held.round();
      process.kill(kubePortal.program.pid, 'SIGTERM');
      await kubePortal.waitForLog(({ msg }) => /^stopping/.test(msg));
      t.equal(await kubePortal.program.stop('SIGINT'), 0, 'exit code');
      t.same(await held.round(), { answered: 0, errors: ['ECONNRESET'] }, 'cut off, and told so');
      await held.close();
      await isClean(t, lab, kubePortal);
    });

    await t.test('a third signal ends the process at once', async (t) => {
      const kubePortal = await start(t, { flags: [...relayed, '--drain-timeout=60m'] });
      const held = HeldConnections.open(client, { address: VIPS[0], port: 7, connections: 1 });
      await held.round();
      const { pid } = kubePortal.program;
      process.kill(pid, 'SIGTERM');
      await kubePortal.waitForLog(({ msg }) => /^stopping/.test(msg));
      // All that come before it is awake again are one signal each.
      process.kill(pid, 'SIGSTOP');
      for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.kill(pid, signal);
      t.equal(await kubePortal.program.stop('SIGCONT'), 1, 'exit code');
      await held.close();
      await cleanup(kubePortal);
      await isClean(t, lab, kubePortal);
    });

    await t.test('--keep-rules keeps rules for the next run, and open UDP flows go on', async (t) => {
      const kubePortal = await start(t, { flags: [...options.flags, '--keep-rules'] });
      const before = await tracesIn(lab.node);
      const ports = await proxyPorts(kubePortal);
      const carrier = await carrierOf(kubePortal);
      const flow = client.spawn('socat', ['STDIO', `UDP4:${VIPS[0]}:7`]);
      flow.write('before\n');
      await flow.waitForOutput(/^before$/m);
      t.equal(await kubePortal.stop(), 0, 'exit code');
      t.same(await tracesIn(lab.node), before);
      const asked = VIPS.map((address) => askTcp(client, { address, port: 7, send: 'x' }));
      if (carrier === 'relay') await Promise.all(asked);
      await kubePortal.startAgain();
      const meanwhile = { relay: 'ECONNREFUSED', kernel: 'answer' }[carrier];
      for (const replies of await Promise.all(asked))
        t.match(replies, [{ outcome: meanwhile }], 'meanwhile: refused, or waiting for the next run');
      t.same(await proxyPorts(kubePortal), ports, 'the same proxy ports');
      t.same(await tracesIn(lab.node), before, 'nothing is there twice');
      await isServed(t, client);
      flow.write('after\n');
      await flow.waitForOutput(/^after$/m);
      await flow.stop('SIGTERM');
      await kubePortal.stop();
      t.match(await cleanup(kubePortal), { code: 0, stdout: /^removed \d+ / });
      await isClean(t, lab, kubePortal);
    });

    await t.test('after SIGKILL, a new start keeps ports and UDP flows, and repairs damage', async (t) => {
      const kubePortal = await start(t, { objects: [...objects, ...serviceWithPods(OTHER, pods)] });
      const ports = await proxyPorts(kubePortal);
      const carrier = await carrierOf(kubePortal);
      const flow = client.spawn('socat', ['STDIO', `UDP4:${VIPS[0]}:7`]);
      flow.write('before\n');
      await flow.waitForOutput(/^before$/m);
      const link = HeldConnections.open(client, { address: VIPS[0], port: 7, connections: 1 });
      await link.round();

      await kubePortal.kill9();
      const { answered } = await link.round();
      t.equal(answered, { relay: 0, kernel: 1 }[carrier], 'a relayed connection ends with the process');
      await link.close();
      t.ok((await tracesIn(lab.node)).some(isOurs), 'what it made is still there');
      await lab.node.must('sh', ['-c', damage]);
      kubePortal.setManifest(objects);
      await kubePortal.startAgain();
      await isServed(t, client);
      const traces = await tracesIn(lab.node);
      t.notOk(
        traces.some((line) => line.includes('10.96.0.11')),
        'nothing is left of the Service that went',
      );
      const kept = [...ports].filter(([key]) => key.includes('echo'));
      t.same([...(await proxyPorts(kubePortal))], kept, 'the same proxy ports');
      flow.write('after\n');
      await flow.waitForOutput(/^after$/m);
      t.equal(await kubePortal.stop(), 0);
      await isClean(t, lab, kubePortal);
    });

    await t.test('--cleanup removes everything after SIGKILL', async (t) => {
      const kubePortal = await start(t);
      t.match(await cleanup(kubePortal), REFUSED, 'not while it runs');
      await isServed(t, client);
      await kubePortal.kill9();
      const { code, stdout, stderr } = await cleanup(kubePortal);
      t.match({ code, stderr }, { code: 0, stderr: '' });
      t.match(stdout, driver === 'iptables' ? /^removed \d+ iptables chains/ : /^removed 2 addresses/);
      await isClean(t, lab, kubePortal);
      t.match(await cleanup(kubePortal), { code: 0, stdout: /^nothing to remove/ });
    });

    await t.test('rules that other programs flush are put back within a sync period', async (t) => {
      const kubePortal = await start(t);
      const before = await tracesIn(lab.node);
      // Stopped, it cannot repair before the damage has been seen.
      process.kill(kubePortal.program.pid, 'SIGSTOP');
      await lab.node.must('sh', ['-c', damage]);
      t.not((await tracesIn(lab.node)).length, before.length);
      process.kill(kubePortal.program.pid, 'SIGCONT');
      await kubePortal.waitForLog(({ msg, repaired }) => /put back/.test(msg) && Number(repaired) > 0);
      const isWhole = async () => (await tracesIn(lab.node)).sort().join() === before.sort().join();
      await kubePortal.until(isWhole, 'all is as before');
      await isServed(t, client);
    });

    await t.test('a second instance is refused and does not disturb the first one', async (t) => {
      const kubePortal = await start(t);
      const held = HeldConnections.open(client, { address: VIPS[0], port: 7, connections: 5 });
      await held.round();
      const before = await tracesIn(lab.node);
      for (const redirect of ['iptables', 'address', 'none']) {
        const second = KubePortal.launch(lab.node, {
          objects: serviceWithPods(OTHER, pods),
          flags: [`--redirect=${redirect}`, '--healthz-bind-address=', '--metrics-bind-address='],
        });
        t.teardown(() => second.dispose());
        t.match(await second.program.finish(), REFUSED, redirect);
        t.notOk(existsSync(second.stateDirectory), 'nothing of it stays');
      }
      t.same(await tracesIn(lab.node), before);
      t.same(await held.round(), { answered: 5, errors: [] });
      await held.close();
      await isServed(t, client);
      const complaints = kubePortal.log.filter(({ level }) => level >= 40);
      // Without programs in the kernel, VIPs of the address driver are left open, which is said.
      const skip = driver === 'address' && notMachineRoot;
      t.same(complaints, [], 'the first noticed nothing', { skip });
    });
  });
}

t.test('removals that the kernel announces are repaired long before the next sync', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'a'] });
  const pods = [lab.pod('a')];
  await startBackend(item(pods, 0), { tcp: { 7: 'echo' }, udp: { 7: 'echo' } });
  const flags = ['--redirect=iptables', '--iptables-sync-period=1h'];
  const objects = serviceWithPods(ECHO, pods);
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
  await lab.node.must('sh', ['-c', DRIVERS.iptables.damage]);
  await kubePortal.waitForLog(({ msg, repaired }) => /put back/.test(msg) && Number(repaired) > 0);
  await kubePortal.until(
    async () => (await tracesIn(lab.node)).some((line) => DRIVERS.iptables.sample.test(line)),
    'rules',
  );
  await isServed(t, lab.pod('client'));
});

type Tap = Pick<typeof t, 'teardown' | 'match' | 'same' | 'notOk'>;

const REFUSED: Partial<Record<keyof Result, unknown>> = {
  code: 1,
  stderr: /^error: another kube-portal serves this node already .*ss -xlp.* stop it first\n$/,
};

async function isServed(t: Tap, client: Pod): Promise<void> {
  for (const address of VIPS) {
    t.match(await askTcp(client, { address, port: 7, send: 'x' }), [{ text: 'x' }], `${address} TCP`);
    t.match(await askUdp(client, { address, port: 7 }), [{ answers: ['?'] }], `${address} UDP`);
  }
}

async function isClean(t: Tap, lab: Lab, kubePortal: KubePortal): Promise<void> {
  t.same(await tracesIn(lab.node), [], 'no rule and no address');
  t.notOk(existsSync(kubePortal.stateDirectory), 'no state');
}

async function carrierOf(kubePortal: KubePortal): Promise<'relay' | 'kernel'> {
  const { portals } = await kubePortal.status();
  return item(portals, 0).carrier;
}

async function proxyPorts(kubePortal: KubePortal): Promise<Map<string, number | null>> {
  const { portals } = await kubePortal.status();
  return new Map(portals.map(({ key, proxyPort }) => [key, proxyPort]));
}
