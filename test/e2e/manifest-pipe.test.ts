import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { listOf, service } from '../lab/manifest.js';

t.setTimeout(0);

/**
 * A kube-portal that bash starts by `command`. In it, `"$@"` starts kube-portal, and `$0` is the manifest's
 * path.
 */
async function launch(t: Test, command: string): Promise<KubePortal> {
  const lab = await Lab.forTest(t);
  const manifest = join(t.testdir(), 'piped.json');
  writeFileSync(
    manifest,
    listOf([service({ name: 'piped', clusterIPs: ['10.96.0.10'], ports: [{ port: 80 }] })]),
  );
  const kubePortal = KubePortal.launch(lab.node, {
    objects: [service({ name: 'filed', clusterIPs: ['10.96.0.11'], ports: [{ port: 80 }] })],
    launcher: ['bash', '-c', command, manifest],
    flags: ['--redirect=none'],
  });
  t.teardown(() => kubePortal.dispose());
  return kubePortal;
}

async function servicesOf(kubePortal: KubePortal): Promise<string[]> {
  return (await kubePortal.status()).portals.map((portal) => portal.service).sort();
}

for (const [how, command] of [
  ['standard input', 'exec "$@" --manifest - < <(sleep 1; cat "$0")'],
  ['a file as standard input', 'exec "$@" --manifest - < "$0"'],
  ['a pipe of the shell', 'exec "$@" --manifest <(cat "$0")'],
] as const) {
  t.test(`a manifest is read from ${how}`, async (t) => {
    const kubePortal = await launch(t, command);
    await kubePortal.ready();
    t.same(await servicesOf(kubePortal), ['default/filed', 'default/piped']);
    kubePortal.setManifest([service({ name: 'later', clusterIPs: ['10.96.0.12'], ports: [{ port: 80 }] })]);
    await kubePortal.until(async () => (await servicesOf(kubePortal)).includes('default/later'), 'a change');
    t.same(await servicesOf(kubePortal), ['default/later', 'default/piped'], 'what was piped stays');
    t.equal(await kubePortal.stop(), 0);
  });
}

t.test('the process stops although a pipe has no end', async (t) => {
  const kubePortal = await launch(
    t,
    'exec "$@" --manifest - < <(exec tail -f /dev/null --pid=$$ 2> /dev/null)',
  );
  await kubePortal.until(async () => (await kubePortal.healthz()) === 503, 'it waits');
  t.equal(await kubePortal.stop(), 0);
});

t.test('a device as standard input is refused, and the error names it', async (t) => {
  const kubePortal = await launch(t, 'exec "$@" --manifest - < /dev/null');
  const { code, stderr } = await kubePortal.program.finish();
  t.equal(code, 1);
  t.match(stderr, /cannot read manifest \/dev\/stdin: it is a device and neither a file nor a directory/);
});
