import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { bothCarriers } from '../lab/carriers.js';
import { askTcp, askUdp } from '../lab/client.js';
import { KubePortal, RELAYED } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { ECHO, VIPS } from '../lab/services.js';

t.setTimeout(0);

const FIREWALLS = {
  /** What ufw does with what comes in, in essence. */
  'denies by its policy': ['-P INPUT DROP'],
  /** What firewalld on iptables does, and what Red Hat's iptables-services start with. */
  'refuses by its last rule': ['-A INPUT -j REJECT'],
} as const;

const ALWAYS_OPEN = [
  '-A INPUT -i lo -j ACCEPT',
  '-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
] as const;

for (const [what, denial] of Object.entries(FIREWALLS)) {
  bothCarriers(
    `a host firewall that ${what} lets redirected traffic in, and nothing else`,
    async (t, carrier) => {
      const lab = await Lab.forTest(t, { pods: ['client', 'a'] });
      const pods = [lab.pod('a')];
      await startBackend(pods[0]!, { tcp: { 7: 'echo' }, udp: { 7: 'echo' } });
      await startBackend(lab.node, { udp: { 9: 'echo' } });
      for (const program of ['iptables', 'ip6tables']) {
        // Without neighbour discovery there is no IPv6.
        const neighbours = program === 'ip6tables' ? ['-A INPUT -p ipv6-icmp -j ACCEPT'] : [];
        for (const rule of [...ALWAYS_OPEN, ...neighbours, ...denial]) {
          await lab.node.must(program, ['-w', '10', ...rule.split(' ')]);
        }
      }
      const objects = serviceWithPods(ECHO, pods);
      const flags = ['--redirect=iptables', carrier];
      const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
      for (const client of [lab.pod('client'), lab.node]) {
        for (const address of VIPS) {
          t.match(await askTcp(client, { address, port: 7, send: 'x' }), [{ text: 'x' }], `${address} TCP`);
          t.match(await askUdp(client, { address, port: 7 }), [{ answers: ['?'] }], `${address} UDP`);
        }
      }
      const closed = { address: lab.node.address4, port: 9, patienceMs: 1000 };
      t.notMatch(
        await askUdp(lab.pod('client'), closed),
        [{ answers: ['?'] }],
        'what the firewall is there for',
      );
      t.same((await kubePortal.status()).problems, []);
    },
  );
}

t.test('rules on top of INPUT apply first, as engines of network policies need', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['allowed', 'forbidden', 'a'] });
  const pods = [lab.pod('a')];
  await startBackend(pods[0]!, { tcp: { 7: 'echo' }, udp: { 7: 'echo' } });
  const objects = serviceWithPods(ECHO, pods);
  // What the kernel carries does not pass INPUT, as with kube-proxy.
  const flags = ['--redirect=iptables', '--iptables-sync-period=1s', RELAYED];
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
  const forbid = `-I INPUT -s ${lab.pod('forbidden').address4} -j DROP`;
  await lab.node.must('iptables', ['-w', '10', ...forbid.split(' ')]);

  await lab.node.must('iptables', ['-w', '10', '-t', 'nat', '-F', 'KUBE-PORTALS-CONTAINER']);
  await kubePortal.waitForLog(({ msg }) => /put back/.test(msg));
  const to = { address: VIPS[0], port: 7, patienceMs: 1000 };
  t.notMatch(await askUdp(lab.pod('forbidden'), to), [{ answers: ['?'] }], 'kept out');
  t.match(await askUdp(lab.pod('allowed'), to), [{ answers: ['?'] }]);
});
