import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import { KubePortal, type KubePortalOptions } from '../lab/kubeportal.js';
import { Lab, NODE_UPLINK } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { VIPS, WEB_PORTS } from '../lab/services.js';
import { tallies } from '../lab/tally.js';
import { tracesIn } from '../lab/traces.js';

/** Said at a start where the driver is chosen. */
const FALLBACK =
  /^IPv[46] is served with addresses on the loopback device, not with iptables: --bind-address 127\.0\.0\.1 .* loopback address/;

t.setTimeout(0);

/** A lab with a Service, and a check that everybody is served. */
async function setUp(t: Test) {
  const lab = await Lab.forTest(t, { pods: ['client', 'a'] });
  await startBackend(lab.pod('a'), { tcp: { 8080: 'name' }, udp: { 8080: 'name' } });
  const objects = serviceWithPods({ name: 'web', clusterIPs: VIPS, ports: WEB_PORTS }, [lab.pod('a')]);
  const places = VIPS.flatMap((address) => WEB_PORTS.map((port) => ({ ...port, address, times: 2 })));
  const isServed = async () => {
    for (const host of [lab.pod('client'), lab.outside, lab.node]) {
      t.same(
        await tallies(host, places),
        places.map(() => ({ a: 2 })),
        host.name,
      );
    }
  };
  return { lab, objects, isServed };
}

for (const [four, six] of [
  [NODE_UPLINK.address4, NODE_UPLINK.address6],
  ['10.244.0.1', 'fd00:244::1'],
]) {
  t.test(`proxy ports on ${four} and ${six} serve the clients of all links`, async (t) => {
    const { lab, objects, isServed } = await setUp(t);
    const flags = ['--redirect=iptables', `--bind-address=${four}`, `--bind-address=${six}`];
    await KubePortal.forTest(t, lab.node, { objects, flags });
    await isServed();
  });
}

t.test('an address to which clients cannot be redirected is refused at the start', async (t) => {
  const { lab, objects } = await setUp(t);
  const refusal = async (options: KubePortalOptions) => {
    const kubePortal = KubePortal.launch(lab.node, { objects, ...options });
    t.teardown(() => kubePortal.dispose());
    const { code, stderr } = await kubePortal.program.finish();
    t.equal(code, 1);
    t.same(await tracesIn(lab.node), []);
    return stderr;
  };
  for (const address of ['127.0.0.1', '127.8.8.8', '::1']) {
    const said = await refusal({ flags: ['--redirect=iptables', `--bind-address=${address}`] });
    t.ok(said.startsWith(`error: --bind-address ${address} (bindAddress in a --config file): `), said);
    t.match(said, /cannot bring clients .* to a loopback address; give .*, or use --redirect=address\n$/);
  }
  for (const address of ['192.0.2.99', 'fd00:2::99']) {
    const said = await refusal({ flags: ['--redirect=iptables', `--bind-address=${address}`] });
    t.match(said, /^error: --bind-address .*: this node has no such address; give /);
  }
});

t.test('with --redirect=auto, a loopback address gets another driver', async (t) => {
  const { lab, objects, isServed } = await setUp(t);
  const config = join(t.testdir(), 'config.yaml');
  writeFileSync(
    config,
    'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nbindAddress: 127.0.0.1\n',
  );
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags: [`--config=${config}`] });
  await isServed();
  t.equal((await kubePortal.status()).driver, 'address');
  t.match(
    kubePortal.log.filter(({ msg }) => FALLBACK.test(msg)).map(({ msg }) => msg),
    [/^IPv4 /, /^IPv6 /],
    'said once for each family',
  );
});
