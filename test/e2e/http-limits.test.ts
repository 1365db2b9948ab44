import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { tracesIn } from '../lab/traces.js';

const IDLE = 5000;

t.setTimeout(0);

/** Opens so many connections, says nothing, and opens another one for each that it loses. */
const HOLDER = `
const [address, port, count] = process.argv.slice(1);
let tried = 0;
const open = () => {
  const socket = require('node:net').connect(Number(port), address);
  const done = () => { if (++tried === Number(count)) console.log('all came'); };
  socket.once('connect', done).once('error', () => {});
  socket.once('close', () => setTimeout(open, 1000));
};
for (let i = 0; i < Number(count); i++) open();
`;

t.test('probes are answered while 5,000 idle connections to the health port are open', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['attacker', 'client', 'a'] });
  const server = lab.pod('a');
  await startBackend(server, { tcp: { 80: 'http' } });
  const web = { name: 'web', clusterIPs: ['10.96.0.10'], ports: [{ port: 80 }] };
  const other = { name: 'other', clusterIPs: ['10.96.0.11'], ports: [{ port: 80 }] };
  const objects = serviceWithPods(web, [server]);
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects,
    flags: ['--redirect=iptables', '--iptables-sync-period=1s'],
    descriptorLimit: 1024,
  });
  const before = kubePortal.program.descriptors();
  const holder = lab
    .pod('attacker')
    .spawn(process.execPath, ['-e', HOLDER, lab.node.address4, '10256', `${IDLE}`]);
  await holder.waitForOutput(/all came/, 120_000);
  t.ok(kubePortal.program.descriptors() - before < 100, 'they take few descriptors');
  for (let count = 0; count < 10; count++) t.equal(await kubePortal.healthz(), 200, 'a probe has its answer');
  const answer = async (address: string) =>
    (await lab.pod('client').exec('curl', ['-sS', '--max-time', '5', `http://${address}`])).stdout;
  kubePortal.setManifest([...objects, ...serviceWithPods(other, [server])]);
  await kubePortal.until(async () => (await answer('10.96.0.11')) === 'a\n', 'a new Service is redirected');
  await lab.node.must('iptables-nft', ['-t', 'nat', '-F']);
  await kubePortal.waitForLog(({ msg }) => /put back/.test(msg));
  t.same(
    kubePortal.log.filter(({ level }) => level >= 50),
    [],
    'and nothing went wrong',
  );
  t.equal(await kubePortal.stop(), 0);
  t.same(await tracesIn(lab.node), []);
});
