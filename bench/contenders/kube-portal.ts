import { KubePortal } from '../../test/lab/kubeportal.js';
import { serviceWithPods } from '../../test/lab/manifest.js';
import { SERVICE_PORTS, VIP } from '../service.js';
import { BOTH, type Contender } from './contender.js';

export function kubePortal(redirect: 'iptables' | 'address', workers: 1 | 2): Contender {
  return {
    id: `kube-portal-${redirect}-${workers}`,
    title: `kube-portal, ${redirect}, ${workers} ${workers === 1 ? 'worker' : 'workers'}`,
    protocols: BOTH,
    async start(stage) {
      const objects = serviceWithPods({ name: 'bench', clusterIPs: [VIP], ports: SERVICE_PORTS }, [
        stage.backend,
      ]);
      const flags = ['--redirect', redirect, '--workers', String(workers)];
      const portal = KubePortal.launch(stage.node, { objects, flags });
      await portal.ready();
      return { address: VIP, pid: portal.program.pid, stop: () => portal.dispose() };
    },
  };
}
