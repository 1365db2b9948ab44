import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { HeldConnections } from '../lab/client.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';

const VIP = '10.96.0.10';
const FIRST_PORT = 20_000;
/** Each a portal: many times what one wait of the loop brings. */
const PORTS = 2500;
/** More than twice what the first connect may take. */
const STOPPED_MS = 600;
const RUNNING_MS = 100;

t.setTimeout(0);

/**
 * Makes a connection to each of thousands of portals while kube-portal is stopped. All arrive when it goes
 * on.
 */
async function crowdAtTheDoor(t: Parameters<typeof Lab.forTest>[0]) {
  const lab = await Lab.forTest(t, { pods: ['client', 'server'] });
  const [client, server] = [lab.pod('client'), lab.pod('server')];
  await startBackend(server, { tcp: { 80: 'name' } });
  const ports = Array.from({ length: PORTS }, (_, i) => ({
    name: `p${i}`,
    port: FIRST_PORT + i,
    targetPort: 80,
  }));
  const objects = serviceWithPods({ name: 'wide', clusterIPs: [VIP], ports }, [server]);
  const flags = ['--redirect=address', '--workers=1'];
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
  const signal = (name: 'SIGSTOP' | 'SIGCONT') => process.kill(kubePortal.program.pid, name);
  signal('SIGSTOP');
  const to = { address: VIP, port: FIRST_PORT, ports: PORTS };
  const held = HeldConnections.open(client, { ...to, connections: PORTS, patienceMs: 120_000 });
  const established = async () =>
    (await client.must('ss', ['-Htn', 'state', 'established'])).split('\n').length - 1;
  while ((await established()) < PORTS) await sleep(50);
  const blamed = async () => {
    const { counters } = await kubePortal.status();
    const failures = counters.reduce((sum, { connectFailures }) => sum + connectFailures, 0);
    return { failures, lines: kubePortal.log.filter(({ endpoint }) => endpoint !== undefined).length };
  };
  return { signal, held, blamed };
}

t.test('thousands of connections at once are served', async (t) => {
  const { signal, held, blamed } = await crowdAtTheDoor(t);
  signal('SIGCONT');
  t.same(await held.round(), { answered: PORTS, errors: [] });
  t.same(await blamed(), { failures: 0, lines: 0 }, 'no endpoint is blamed');
  await held.close();
});

t.test('thousands of connections are served although the process is stopped again and again', async (t) => {
  const { signal, held, blamed } = await crowdAtTheDoor(t);
  let done = false;
  const round = held.round().finally(() => {
    done = true;
  });
  while (!done) {
    signal('SIGCONT');
    await sleep(RUNNING_MS);
    signal('SIGSTOP');
    await sleep(STOPPED_MS);
  }
  signal('SIGCONT');
  t.same(await round, { answered: PORTS, errors: [] });
  t.same(await blamed(), { failures: 0, lines: 0 }, 'no endpoint is blamed');
  await held.close();
});
