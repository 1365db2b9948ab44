import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { tally } from '../lab/tally.js';

t.setTimeout(0);

const WEB = { name: 'web', clusterIPs: ['10.96.0.10'], ports: [{ port: 80, targetPort: 8080 }] };
const TARGET = { protocol: 'TCP', address: '10.96.0.10', port: 80, times: 3 } as const;

/** A configuration file in the volume of a ConfigMap: behind links. A change replaces one of the links. */
class ConfigMap {
  readonly #directory = mkdtempSync(join(tmpdir(), 'kube-portal-config-'));
  #version = 0;

  constructor(t: Test, fields: string) {
    t.teardown(() => rmSync(this.#directory, { recursive: true }));
    this.set(fields);
    symlinkSync(join('..data', 'config.conf'), this.file);
  }

  get file(): string {
    return join(this.#directory, 'config.conf');
  }

  set(fields: string): void {
    const version = `..version-${++this.#version}`;
    const head = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n';
    mkdirSync(join(this.#directory, version));
    writeFileSync(join(this.#directory, version, 'config.conf'), head + fields);
    symlinkSync(version, join(this.#directory, '..data_tmp'));
    renameSync(join(this.#directory, '..data_tmp'), join(this.#directory, '..data'));
  }
}

t.test(
  'a new configuration ends the process, which starts again with it as if nothing had been',
  async (t) => {
    const lab = await Lab.forTest(t, { pods: ['client', 'a'] });
    const pod = lab.pod('a');
    await startBackend(pod, { tcp: { 8080: 'name' } });
    const config = new ConfigMap(t, 'portRange: 21000-21099\n');
    const kubePortal = await KubePortal.forTest(t, lab.node, {
      objects: serviceWithPods(WEB, [pod]),
      flags: ['--redirect=iptables', '--config', config.file, '--drain-timeout=0'],
    });
    const rules = () => lab.node.must('iptables-save', ['-t', 'nat']);
    const proxyPort = async () => (await kubePortal.status()).portals[0]?.proxyPort;
    const portBefore = await proxyPort();
    t.ok(portBefore !== undefined && portBefore !== null && portBefore >= 21_000 && portBefore < 21_100);

    config.set('portRange: 21000-21099\n');
    config.set('portRange: many\n');
    await kubePortal.waitForLog(({ msg }) =>
      msg.includes('cannot be used; the old configuration stays in force'),
    );
    t.match(kubePortal.log.at(-1), { path: config.file, reason: /portRange: 'many'/ }, 'a mistake is told');
    t.same(await tally(lab.pod('client'), TARGET), { a: 3 }, 'and changes nothing');

    config.set('portRange: 21000-21199\n');
    t.equal(await kubePortal.program.exited, 1, "kube-proxy's exit code");
    const said = kubePortal.log.filter(({ msg }) => msg.includes('the configuration has changed'));
    t.equal(said.length, 1, 'says why, once');
    t.match(await rules(), `--to-ports ${portBefore}`, 'rules stay');
    await kubePortal.startAgain();
    t.equal(await proxyPort(), portBefore, 'with the same proxy port');
    t.same(await tally(lab.pod('client'), TARGET), { a: 3 });
  },
);
