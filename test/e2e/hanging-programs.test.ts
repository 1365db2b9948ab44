import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { tracesIn } from '../lab/traces.js';

const WEB = { name: 'web', clusterIPs: ['10.96.0.10'], ports: [{ port: 80 }] };
const OTHER = { name: 'other', clusterIPs: ['10.96.0.11'], ports: [{ port: 80 }] };
/** Longer than a program gets, and than it takes until the node counts as unhealthy. */
const PATIENCE_MS = 90_000;

t.setTimeout(0);

const directory = mkdtempSync(join(tmpdir(), 'kube-portal-hanging-'));
t.teardown(() => rmSync(directory, { recursive: true }));
const switchFile = join(directory, 'hang');

/** An iptables that hangs, and does not even heed SIGTERM, as long as the switch is on. */
function installFakes(): string {
  const path = mkdtempSync(join(directory, 'path-'));
  const names = ['iptables', 'ip6tables'].flatMap((name) => [name, `${name}-nft`]);
  for (const program of names.flatMap((name) => [`${name}-save`, `${name}-restore`])) {
    const script = `#!/bin/sh\n[ -e ${switchFile} ] || exec /usr/sbin/${program} "$@"\ntrap '' TERM\nwhile :; do sleep 1; done\n`;
    writeFileSync(join(path, program), script);
    chmodSync(join(path, program), 0o755);
  }
  return path;
}

t.test('an iptables that hangs', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'a', 'b'], iptables: 'nft' });
  const [a, b] = [lab.pod('a'), lab.pod('b')];
  for (const pod of [a, b]) await startBackend(pod, { tcp: { 80: 'http' } });
  const env = { PATH: `${installFakes()}:${process.env.PATH}` };
  const flags = ['--redirect=iptables', '--iptables-sync-period=1s'];
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods(WEB, [a]),
    env,
    flags,
  });
  const answer = async (address: string) =>
    (await lab.pod('client').exec('curl', ['-sS', '--max-time', '5', `http://${address}`])).stdout;

  await t.test('it is logged, the node becomes unhealthy, and endpoints change meanwhile', async (t) => {
    writeFileSync(switchFile, '');
    kubePortal.setManifest([...serviceWithPods(WEB, [a]), ...serviceWithPods(OTHER, [a])]);
    const isKnown = async () => (await kubePortal.status()).portals.length === 2;
    await kubePortal.until(isKnown, 'the new Service is known');
    kubePortal.setManifest([...serviceWithPods(WEB, [b]), ...serviceWithPods(OTHER, [a])]);
    await kubePortal.until(async () => (await answer('10.96.0.10')) === 'b\n', 'the endpoint has changed');
    await kubePortal.until(async () => (await kubePortal.healthz()) === 503, 'it is unhealthy', PATIENCE_MS);
    const said = ({ msg }: { msg: string }) =>
      /^ip6?tables-nft-\w+ did not end within 30 s and was killed/.test(msg);
    t.match(await kubePortal.waitForLog(said, PATIENCE_MS), { level: 50 });
  });

  await t.test('the node is healthy again once iptables works', async (t) => {
    rmSync(switchFile);
    await kubePortal.until(
      async () => (await answer('10.96.0.11')) === 'a\n',
      'the Service is served',
      PATIENCE_MS,
    );
    await kubePortal.until(async () => (await kubePortal.healthz()) === 200, 'it is healthy', PATIENCE_MS);
    t.match((await kubePortal.status()).portals, [{ state: 'serving' }, { state: 'serving' }]);
  });

  await t.test('SIGTERM ends the process, and the log says what is left', async (t) => {
    writeFileSync(switchFile, '');
    kubePortal.setManifest(serviceWithPods(WEB, [b]));
    const { program } = kubePortal;
    process.kill(program.pid, 'SIGTERM');
    t.equal((await program.finish(PATIENCE_MS)).code, 0);
    const left = kubePortal.log.find(({ msg }) =>
      /^some redirects could not be removed; run "kube-portal run --cleanup"/.test(msg),
    );
    t.match(left, { level: 50, reason: /iptables-nft-save did not end/ });
    t.not((await tracesIn(lab.node)).length, 0, 'as it says');
  });

  await t.test('a second signal ends the process within seconds', async (t) => {
    rmSync(switchFile);
    await kubePortal.startAgain();
    writeFileSync(switchFile, '');
    kubePortal.setManifest(serviceWithPods(WEB, [a]));
    const { program } = kubePortal;
    process.kill(program.pid, 'SIGTERM');
    await kubePortal.waitForLog(({ msg }) => /^stopping/.test(msg));
    process.kill(program.pid, 'SIGTERM');
    const { stdout } = await program.finish(PATIENCE_MS);
    t.match(
      stdout,
      /did not end within \d s and was killed.*--cleanup|--cleanup.*removes them/,
      'it says what is left',
    );
    t.not((await tracesIn(lab.node)).length, 0, 'as it says');
  });
});

t.test('no descriptors for a program', { buffered: true }, async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'a'], iptables: 'nft' });
  const server = lab.pod('a');
  await startBackend(server, { tcp: { 80: 'http' } });
  const flags = ['--redirect=iptables', '--iptables-sync-period=1s'];
  const objects = serviceWithPods(WEB, [server]);
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags, descriptorLimit: 1024 });
  const limit = (soft: number) =>
    lab.node.must('prlimit', [`--pid=${kubePortal.program.pid}`, `--nofile=${soft}:1024`]);
  await limit(1);
  await kubePortal.waitForLog(({ msg }) =>
    /^iptables-nft-save could not be started: spawn .*EMFILE/.test(msg),
  );
  await lab.node.must('iptables-nft', ['-t', 'nat', '-F']);
  await limit(1024);
  await kubePortal.waitForLog(({ msg }) => /put back/.test(msg));
  t.equal(await kubePortal.healthz(), 200);
  t.equal(await kubePortal.stop(), 0);
  t.same(await tracesIn(lab.node), []);
});
