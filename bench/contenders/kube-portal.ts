import { KubePortal } from '../../test/lab/kubeportal.js';
import { crowdObjects } from '../crowd.js';
import { VIP } from '../service.js';
import { ApiServer, NODE_NAME } from './api-server.js';
import { BOTH, type Contender } from './contender.js';

export function kubePortal(redirect: 'iptables' | 'address', workers: 1 | 2): Contender {
  return {
    id: `kube-portal-${redirect}-${workers}`,
    title: `kube-portal, ${redirect}, ${workers} ${workers === 1 ? 'worker' : 'workers'}`,
    protocols: BOTH,
    role: 'own',
    // The number of workers changes nothing that is worth the minutes.
    ...(workers === 1 && { manyPorts: 10_000 }),
    async start(stage, { ports, source }) {
      const flags = ['--redirect', redirect, '--workers', String(workers)];
      const api = source === 'api' ? await ApiServer.start(stage, ports) : null;
      const portal =
        api === null
          ? KubePortal.launch(stage.node, { objects: crowdObjects(ports, stage.backend), flags })
          : KubePortal.launch(stage.node, {
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
