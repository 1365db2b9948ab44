import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { startDnsmasq } from '../lab/servers.js';

t.setTimeout(0);

const VIPS = ['10.96.0.10', 'fd00:96::10'] as const;
const PROTOCOLS = ['udp', 'tcp'] as const;
const PORT = 53;
/** As resolvers ask, but as often as a busy machine may need: until the next process serves. */
const PATIENCE = ['+time=5', '+tries=20'];

t.test('look-ups over UDP and TCP that begin while no process runs wait for the next', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'a', 'b'], link: 'point to point' });
  const pods = [lab.pod('a'), lab.pod('b')];
  for (const pod of pods) await startDnsmasq(pod);
  const ports = PROTOCOLS.map((name) => ({
    name,
    protocol: name === 'udp' ? ('UDP' as const) : ('TCP' as const),
    port: PORT,
  }));
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods({ name: 'dns', clusterIPs: VIPS, ports }, pods),
    flags: ['--carrier=kernel', '--redirect=iptables'],
  });
  const client = lab.pod('client');
  const lookUp = (vip: string, protocol: string) =>
    client.exec('dig', [
      '+short',
      protocol === 'udp' ? '+notcp' : '+tcp',
      ...PATIENCE,
      `@${vip}`,
      'who.example',
      'TXT',
    ]);
  await countPackets(client);

  await kubePortal.kill9();
  const questions = VIPS.flatMap((vip) => PROTOCOLS.map((protocol) => lookUp(vip, protocol)));
  await untilAllHaveAsked(client);
  await kubePortal.startAgain();
  for (const { stdout } of await Promise.all(questions)) t.match(stdout, /^"[ab]"$/m);
});

const tables = (vip: string) => (vip.includes(':') ? 'ip6tables' : 'iptables');

/** Rules that do nothing but count what a pod sends to each VIP with each protocol. */
async function countPackets(pod: Pod): Promise<void> {
  for (const vip of VIPS)
    for (const protocol of PROTOCOLS)
      await pod.must(tables(vip), ['-A', 'OUTPUT', '-d', vip, '-p', protocol, '--dport', `${PORT}`]);
}

async function untilAllHaveAsked(pod: Pod): Promise<void> {
  const hasAsked = async (vip: string) => {
    const rules = await pod.must(tables(vip), ['-nvxL', 'OUTPUT']);
    return !/^ +0 /m.test(rules);
  };
  while (!(await hasAsked(VIPS[0])) || !(await hasAsked(VIPS[1]))) await sleep(20);
}
