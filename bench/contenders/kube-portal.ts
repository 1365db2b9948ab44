import { KubePortal } from '../../test/lab/kubeportal.js';
import { manyServiceObjects } from '../manyservices.js';
import { VIP } from '../service.js';
import { ApiServer, NODE_NAME } from './api-server.js';
import { BOTH, type Contender } from './contender.js';

export function kubePortal(redirect: 'iptables' | 'address', workers: 1 | 2): Contender {
  return {
    id: `kube-portal-${redirect}-${workers}`,
    title: `kube-portal, ${redirect}, ${workers} ${workers === 1 ? 'worker' : 'workers'}`,
    protocols: BOTH,
    role: 'own',
    // Rows with many ports take minutes, and the number of workers hardly changes their figures.
    ...(workers === 1 && { manyPorts: 10_000 }),
    async start(testbed, { ports, source }) {
      const flags = ['--redirect', redirect, '--workers', String(workers)];
      const api = source === 'api' ? await ApiServer.start(testbed, ports) : null;
      const portal =
        api === null
          ? KubePortal.launch(testbed.node, { objects: manyServiceObjects(ports, testbed.backend), flags })
          : KubePortal.launch(testbed.node, {
              kubeconfig: api.kubeconfig,
              flags: [...flags, '--hostname-override', NODE_NAME],
            });
      const stop = async () => {
        await portal.dispose();
        await api?.dispose();
      };
      await portal.ready().catch(async (error: unknown) => {
        await stop();
        throw error;
      });
      return { address: VIP, pid: portal.program.pid, ...(api !== null && { api }), stop };
    },
  };
}
