import { KubePortal } from '../../test/lab/kubeportal.js';
import { manyServiceObjects } from '../manyservices.js';
import { VIP } from '../service.js';
import { PROXY_DESCRIPTORS } from '../testbed.js';
import { FEW_PORTS } from '../turn.js';
import { ApiServer, CLUSTER_CIDR, NODE_NAME } from './api-server.js';
import { BOTH, type Contender, type Role } from './contender.js';

interface Way {
  readonly title: string;
  readonly role: Role;
  readonly flags: readonly string[];
}

const KERNEL = ['--redirect=iptables', '--carrier=kernel', `--cluster-cidr=${CLUSTER_CIDR}`];

/** Who carries the bytes, and how they come to it. */
const WAYS = {
  kernel: { title: 'kernel carrier', role: 'kernel', flags: KERNEL },
  masquerade: {
    title: 'masquerading',
    role: 'kernel',
    flags: [...KERNEL, '--masquerade-all'],
  },
  relay: { title: 'relay', role: 'relay', flags: ['--redirect=iptables', '--carrier=relay'] },
  address: {
    title: 'address driver',
    role: 'relay',
    flags: ['--redirect=address', '--carrier=relay'],
  },
} satisfies Record<string, Way>;

export function kubePortal(way: keyof typeof WAYS, workers: 1 | 2): Contender {
  const { title, role, flags: wayFlags } = WAYS[way];
  return {
    id: `kube-portal-${way}-${workers}`,
    title: `kube-portal ${title}, ${workers} ${workers === 1 ? 'worker' : 'workers'}`,
    protocols: BOTH,
    role,
    // Rows with many ports take minutes. Neither the number of workers nor MASQUERADE changes much there.
    ...(workers === 1 && way !== 'masquerade' && { manyPorts: 10_000 }),
    async start(testbed, { ports, source }) {
      const descriptorLimit = PROXY_DESCRIPTORS;
      const flags = [...wayFlags, `--workers=${workers}`];
      const api = source === 'api' ? await ApiServer.start(testbed, ports) : null;
      const portal =
        api === null
          ? KubePortal.launch(testbed.node, {
              objects: manyServiceObjects(ports, testbed.backend),
              flags,
              descriptorLimit,
            })
          : KubePortal.launch(testbed.node, {
              kubeconfig: api.kubeconfig,
              flags: [...flags, `--hostname-override=${NODE_NAME}`],
              descriptorLimit,
            });
      const stop = async () => {
        await portal.dispose();
        await api?.dispose();
      };
      try {
        await portal.ready();
        // A request for the status takes memory, which other rows measure.
        if (role === 'kernel' && api === null && ports === FEW_PORTS) await mustCarry(portal);
      } catch (error) {
        await stop();
        throw error;
      }
      return { address: VIP, pid: portal.program.pid, ...(api !== null && { api }), stop };
    },
  };
}

/** @throws Error where the kernel does not carry, with the reason: the relay must not pass for it */
async function mustCarry(portal: KubePortal): Promise<void> {
  const { portals } = await portal.status();
  const relayed = portals.find(({ carrier }) => carrier === 'relay');
  if (relayed === undefined) return;
  const { service, portName, relayReason } = relayed;
  throw new Error(`the kernel does not carry ${service}:${portName}: ${relayReason}`);
}
