import t from 'tap';
import type { PinsReport } from '../../lib/admin/pins.js';
import { startBackend } from '../lab/backend.js';
import { HeldConnections } from '../lab/client.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { VIP, VIP6 } from './relay.js';

t.setTimeout(0);

const PORT = 7410;
/** Seconds. A quarter of it is the time between two readings of the kernel's table. */
const TIMEOUT = 20;

for (const address of [VIP, VIP6]) {
  t.test(`a flow that the kernel carries keeps its client's pin, ${address}`, async (t) => {
    const lab = await Lab.forTest(t, { pods: ['client', 'a'], link: 'point to point' });
    const pods = [lab.pod('a')];
    await startBackend(item(pods, 0), { udp: { [PORT]: 'name' } });
    const ports = [{ port: PORT, protocol: 'UDP' }] as const;
    const objects = serviceWithPods({ name: 'robot', clusterIPs: [address], ports, affinity: TIMEOUT }, pods);
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags: ['--carrier=kernel'] });
    const timeLeft = async () => {
      const { pins } = JSON.parse(await kubePortal.command('pins', ['-o', 'json'])) as PinsReport;
      return item(pins, 0).leftMs;
    };

    const held = HeldConnections.open(lab.pod('client'), {
      protocol: 'UDP',
      address,
      port: PORT,
      connections: 1,
    });
    t.equal((await held.round()).answered, 1);
    let least = await timeLeft();
    await kubePortal.until(async () => {
      await held.round();
      const left = await timeLeft();
      if (left > least) return true;
      least = left;
      return false;
    }, 'the time of the pin begins anew');
    const { sessions } = await kubePortal.sessions();
    t.match(sessions, [{ carrier: 'kernel' }], 'the flow is still that one');
    await held.close();
  });
}
