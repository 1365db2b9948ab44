import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Host } from '../lab/host.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';

t.setTimeout(0);

const CONFIG = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n';
/** The node's as its pods, and the kubelet of a cluster of either family, know it. */
const NODE = ['10.244.0.1', '[fd00:244::1]'];
const HEALTH = 10_256;
const METRICS = 10_249;

/** Status code, or 0 where nobody listens. */
async function statusOf(host: Host, address: string, port: number, path: string): Promise<number> {
  const url = `http://${address}:${port}${path}`;
  const options = ['--silent', '--max-time', '10', '--output', '/dev/null', '--write-out', '%{http_code}'];
  return Number((await host.exec('curl', [...options, url])).stdout);
}

for (const [what, flags, config] of [
  ['by default', [], null],
  ['on 0.0.0.0', ['--healthz-bind-address=0.0.0.0:10256'], null],
  ['on ::', ['--healthz-bind-address=[::]:10256'], null],
  ['beside a bindAddress of IPv6', [], 'bindAddress: "::"\nhealthzBindAddress: ""\nmetricsBindAddress: ""\n'],
] as const) {
  t.test(`${what}, a probe is answered on addresses of both families`, async (t) => {
    const lab = await Lab.forTest(t, { pods: ['prober'] });
    const path = join(t.testdir(), 'config.conf');
    if (config !== null) writeFileSync(path, CONFIG + config);
    const all = ['--redirect=none', ...flags, ...(config === null ? [] : [`--config=${path}`])];
    await KubePortal.forTest(t, lab.node, { flags: all });
    for (const address of NODE)
      t.equal(await statusOf(lab.pod('prober'), address, HEALTH, '/healthz'), 200, address);
    const [own, other] = config === null ? ['127.0.0.1', '[::1]'] : ['[::1]', '127.0.0.1'];
    t.equal(await statusOf(lab.node, own, METRICS, '/proxyMode'), 200, `metrics on ${own}`);
    t.equal(await statusOf(lab.node, other, METRICS, '/proxyMode'), 0, `and not on ${other}`);
  });
}

t.test('an address of one family is the only one that answers', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['prober'] });
  const kubePortal = KubePortal.launch(lab.node, {
    flags: ['--redirect=none', '--healthz-bind-address=[fd00:244::1]:10256'],
  });
  t.teardown(() => kubePortal.dispose());
  const status = (address: string) => statusOf(lab.pod('prober'), address, HEALTH, '/healthz');
  await kubePortal.until(async () => (await status('[fd00:244::1]')) === 200, 'it is ready');
  t.equal(await status('10.244.0.1'), 0);
});
