import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { service } from '../lab/manifest.js';
import { tracesIn } from '../lab/traces.js';

t.setTimeout(0);
t.jobs = 2;

const directory = mkdtempSync(join(tmpdir(), 'kube-portal-last-resort-'));
t.teardown(() => rmSync(directory, { recursive: true }));

const LIB = new URL('../../lib/', import.meta.url).href;
let modules = 0;

/** A kube-portal with a fault of its own: a module that runs in its main thread before it starts. */
async function withFault(t: Test, code: string) {
  const path = join(directory, `fault-${++modules}.mjs`);
  writeFileSync(
    path,
    `import { isMainThread } from 'node:worker_threads';\nif (isMainThread) {\n${code}\n}\n`,
  );
  const lab = await Lab.forTest(t);
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: [service({ name: 'web', clusterIPs: ['10.96.0.10'], ports: [{ port: 80 }] })],
    env: { NODE_OPTIONS: `--import=${path}` },
    flags: ['--redirect=iptables', '--drain-timeout=0'],
  });
  t.not((await tracesIn(lab.node)).length, 0, 'there is something to remove');
  return { lab, kubePortal };
}

for (const fault of ["throw new Error('a fault')", "Promise.reject(new Error('a fault'))"]) {
  t.test(`rules are removed after: ${fault}`, { buffered: true }, async (t) => {
    const { lab, kubePortal } = await withFault(t, `process.on('SIGUSR2', () => { ${fault} });`);
    t.equal(await kubePortal.program.stop('SIGUSR2'), 1);
    t.match(
      kubePortal.log.find(({ level }) => level === 60),
      { msg: 'unexpected error' },
    );
    t.equal(kubePortal.program.stderr, 'error: a fault\n');
    t.same(await tracesIn(lab.node), []);
  });
}

t.test('rules go and the process ends although a part does not end', { buffered: true }, async (t) => {
  const stop = 'ManifestSource.prototype.stop = () => new Promise(() => setInterval(() => {}, 1000));';
  const fault = `const { ManifestSource } = await import('${LIB}sources/manifest.js');\n${stop}`;
  const { lab, kubePortal } = await withFault(t, fault);
  process.kill(kubePortal.program.pid, 'SIGTERM');
  const { code } = await kubePortal.program.finish(60_000);
  t.equal(code, 1);
  t.match(
    kubePortal.log.find(({ level }) => level === 60),
    { msg: /^the shutdown took longer than 23 s/ },
  );
  t.same(await tracesIn(lab.node), []);
});

t.test('the process ends although a thread waits for ever', { buffered: true }, async (t) => {
  const pipe = join(directory, 'pipe');
  // Node opens files in threads of a pool, and its own exit waits for them.
  const fault = `const [{ execFileSync }, { open }] = [await import('node:child_process'), await import('node:fs')];
    execFileSync('mkfifo', ['${pipe}']);
    open('${pipe}', 'r', () => {});`;
  const { lab, kubePortal } = await withFault(t, fault);
  process.kill(kubePortal.program.pid, 'SIGTERM');
  const { code } = await kubePortal.program.finish(60_000);
  t.equal(code, 1);
  t.same(await tracesIn(lab.node), []);
});
