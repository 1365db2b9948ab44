import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { KubePortal, RELAYED } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { VIP, VIP6 } from './relay.js';
import { UdpTalker } from './udp-talker.js';

const PORT = 7;
/** What an MTU of 1500 lets through and one of 1280 does not; with IPv6 the headers take 20 bytes more. */
const TOO_LONG = 1400;

t.setTimeout(0);

for (const redirect of ['iptables', 'address'])
  for (const address of [VIP, VIP6])
    t.test(`the relay sends again what is too long for the path, ${redirect}, ${address}`, async (t) => {
      const lab = await Lab.forTest(t, { pods: ['client'] });
      const remotes = [await lab.addRemote('far', 1280), await lab.addRemote('farther', 1280)];
      for (const remote of remotes) await startBackend(remote, { udp: { [PORT]: 'echo' } });
      const ports = [{ port: PORT, protocol: 'UDP' as const }];
      const kubePortal = await KubePortal.forTest(t, lab.node, {
        objects: serviceWithPods({ name: 'echo', clusterIPs: [VIP, VIP6], ports, affinity: true }, remotes),
        flags: [RELAYED, '--redirect', redirect, '--workers', '1'],
      });
      const talker = await UdpTalker.start(lab.pod('client'), { address, port: PORT });
      const arrive = async (sizes: readonly number[], what: string) => {
        t.same(await talker.burst(sizes), { sizes, intact: true }, what);
      };
      await arrive([10], 'a short one');
      await arrive([TOO_LONG], 'the first long one is sent again');
      await arrive([TOO_LONG, TOO_LONG, 10, 4000], 'the path is known then');
      // A segmented run meets what the kernel has learned of the path.
      await arrive(new Array(14).fill(TOO_LONG - 10), 'a run of one size');
      await arrive(new Array(14).fill(100), 'a run of short ones');

      const { counters } = await kubePortal.status();
      const sum = (field: 'connectFailures' | 'flowsMoved' | 'pinsMoved') =>
        counters.reduce((total, portal) => total + portal[field], 0);
      t.same([sum('connectFailures'), sum('flowsMoved'), sum('pinsMoved')], [0, 0, 0], 'nobody is blamed');
      t.same(
        kubePortal.log.filter(({ endpoint }) => endpoint !== undefined),
        [],
        'nor said to have failed',
      );
    });

t.test('the relay sends a run of equal datagrams again that are too long for the path', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client'] });
  const remote = await lab.addRemote('far', 1280);
  await startBackend(remote, { udp: { [PORT]: 'echo' } });
  const ports = [{ port: PORT, protocol: 'UDP' as const }];
  await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods({ name: 'echo', clusterIPs: [VIP, VIP6], ports }, [remote]),
    flags: [RELAYED, '--workers', '1'],
  });
  for (const address of [VIP, VIP6]) {
    const talker = await UdpTalker.start(lab.pod('client'), { address, port: PORT });
    const sizes = new Array(14).fill(TOO_LONG - 10);
    t.same((await talker.burst(sizes)).sizes.length, sizes.length, address);
  }
});

t.test('where the kernel carries, the client learns what the path takes by what it loses', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client'] });
  const remote = await lab.addRemote('far', 1280);
  await startBackend(remote, { udp: { [PORT]: 'echo' } });
  const ports = [{ port: PORT, protocol: 'UDP' as const }];
  await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods({ name: 'echo', clusterIPs: [VIP], ports }, [remote]),
    flags: ['--redirect=iptables', '--carrier=kernel'],
  });
  const talker = await UdpTalker.start(lab.pod('client'), { address: VIP, port: PORT });
  t.equal(await talker.say('short'), 'short');
  t.same((await talker.burst([TOO_LONG])).sizes, []);
  const sizes = [TOO_LONG, TOO_LONG, 10, 4000];
  t.same(await talker.burst(sizes), { sizes, intact: true });
});
