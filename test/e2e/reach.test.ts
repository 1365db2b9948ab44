import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { tallies } from '../lab/tally.js';

t.setTimeout(0);

const VIPS = ['10.96.0.10', 'fd00:96::10'];
const NAMES = ['a', 'b', 'c'];
const PORTS = [
  { name: 'tcp', protocol: 'TCP', port: 80, targetPort: 8080 },
  { name: 'udp', protocol: 'UDP', port: 53, targetPort: 5353 },
] as const;

const CASES = [
  { title: 'iptables, nft', redirect: 'iptables', backend: 'nft' },
  { title: 'iptables, legacy', redirect: 'iptables', backend: 'legacy' },
  { title: 'addresses', redirect: 'address', backend: undefined },
] as const;

const evenly = (share: number) => Object.fromEntries(NAMES.map((name) => [name, share]));

for (const { title, redirect, backend } of CASES) {
  t.test(`a Service through ${title}`, async (t) => {
    const lab = await Lab.forTest(t, {
      pods: ['client', ...NAMES],
      ...(backend !== undefined && { iptables: backend }),
    });
    const pods = NAMES.map((name) => lab.pod(name));
    for (const pod of pods) await startBackend(pod, { tcp: { 8080: 'name' }, udp: { 5353: 'name' } });
    const objects = serviceWithPods({ name: 'echo', clusterIPs: VIPS, ports: PORTS }, pods);

    for (const workers of [1, 4]) {
      await t.test(`with ${workers} workers`, async (t) => {
        const flags = ['--redirect', redirect, '--workers', String(workers)];
        const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
        const { driver } = await kubePortal.status();
        t.equal(driver, redirect);
        if (backend !== undefined) {
          const used = await kubePortal.waitForLog(({ backend }) => backend !== undefined);
          t.equal(used.backend, backend);
        }
        for (const [host, times] of [
          [lab.pod('client'), 300],
          [lab.node, 30],
        ] as const) {
          const questions = VIPS.flatMap((address) => PORTS.map((port) => ({ ...port, address, times })));
          const results = await tallies(host, questions);
          for (const [i, { protocol, address }] of questions.entries()) {
            t.same(results[i], evenly(times / 3), `${protocol} ${address} from ${host.name}`);
          }
        }
        t.equal(await kubePortal.stop(), 0);
      });
    }
  });
}
