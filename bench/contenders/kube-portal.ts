import type { Protocol } from '../../lib/net/protocol.js';
import { KubePortal } from '../../test/lab/kubeportal.js';
import type { ServiceOptions } from '../../test/lab/manifest.js';
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
  /** Default: TCP and UDP. */
  readonly protocols?: readonly Protocol[];
  /** More of the measured Service. */
  readonly service?: Partial<ServiceOptions>;
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
  // The relay begins each flow. Compare it with MASQUERADE, too: the backend sees the node.
  takeover: {
    title: 'kernel takes over busy flows',
    role: 'kernel',
    flags: KERNEL,
    protocols: ['UDP'],
    service: { affinity: true, annotations: { 'rtps-routing': 'pin' } },
  },
  relay: { title: 'relay', role: 'relay', flags: ['--redirect=iptables', '--carrier=relay'] },
  address: {
    title: 'address driver',
    role: 'relay',
    flags: ['--redirect=address', '--carrier=relay'],
  },
} satisfies Record<string, Way>;

/** Ways that differ from another one in few rows: they take no part in those with many ports. */
const VARIANTS: readonly string[] = ['masquerade', 'takeover'];

export function kubePortal(way: keyof typeof WAYS, workers: 1 | 2): Contender {
  const { title, role, flags: wayFlags, protocols = BOTH, service }: Way = WAYS[way];
  return {
    id: `kube-portal-${way}-${workers}`,
    title: `kube-portal ${title}, ${workers} ${workers === 1 ? 'worker' : 'workers'}`,
    protocols,
    role,
    // Rows with many ports take minutes. The number of workers changes little there.
    ...(workers === 1 && !VARIANTS.includes(way) && { manyPorts: 10_000 }),
    async start(testbed, { ports, source }) {
      const descriptorLimit = PROXY_DESCRIPTORS;
      const flags = [...wayFlags, `--workers=${workers}`];
      const api = source === 'api' ? await ApiServer.start(testbed, ports) : null;
      const portal =
        api === null
          ? KubePortal.launch(testbed.node, {
              objects: manyServiceObjects(ports, testbed.backend, service),
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
        if (role === 'kernel' && service === undefined && api === null && ports === FEW_PORTS)
          await mustCarry(portal);
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
