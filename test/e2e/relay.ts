import type { Test } from 'tap';
import { item } from '../lab/items.js';
import { KubePortal, type KubePortalOptions } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { type ServiceOptions, serviceWithPods } from '../lab/manifest.js';

export const VIP = '10.96.0.10';
export const VIP6 = 'fd00:96::10';

export interface RelayOptions
  extends Pick<KubePortalOptions, 'flags' | 'env' | 'descriptorLimit'>,
    Pick<ServiceOptions, 'affinity'> {
  readonly tcp?: readonly number[];
  readonly udp?: readonly number[];
  /** Names of the pods behind the VIP; one named `server` unless given. */
  readonly servers?: readonly string[];
}

/** A client pod, server pods, and a VIP of each family in between. */
export class Relay {
  private constructor(
    readonly lab: Lab,
    readonly kubePortal: KubePortal,
    readonly servers: readonly Pod[],
    readonly options: RelayOptions,
  ) {}

  /** @param prepare makes the lab ready before kube-portal starts */
  static async forTest(
    t: Test,
    options: RelayOptions,
    prepare?: (lab: Lab) => Promise<void>,
  ): Promise<Relay> {
    const names = options.servers ?? ['server'];
    const lab = await Lab.forTest(t, { pods: ['client', ...names] });
    await prepare?.(lab);
    const servers = names.map((name) => lab.pod(name));
    const objects = objectsOf(options, servers);
    const kubePortal = await KubePortal.forTest(t, lab.node, { ...options, objects });
    return new Relay(lab, kubePortal, servers, options);
  }

  get client(): Pod {
    return this.lab.pod('client');
  }

  get server(): Pod {
    return item(this.servers, 0);
  }

  /** Leaves these pods behind the VIP, and does not wait. */
  setServers(servers: readonly Pod[]): void {
    this.kubePortal.setManifest(objectsOf(this.options, servers));
  }

  /** Connections that the relay holds open. */
  async connections(): Promise<number> {
    const { counters } = await this.kubePortal.status();
    return counters.reduce((sum, { connectionsActive }) => sum + connectionsActive, 0);
  }

  /** Resolves once no connection is open any more. */
  async idle(): Promise<void> {
    await this.kubePortal.until(async () => (await this.connections()) === 0, 'the last connection ended');
  }
}

function objectsOf({ tcp = [], udp = [], affinity = false }: RelayOptions, servers: readonly Pod[]) {
  const ports = [
    ...tcp.map((port) => ({ name: `t${port}`, port, protocol: 'TCP' as const })),
    ...udp.map((port) => ({ name: `u${port}`, port, protocol: 'UDP' as const })),
  ];
  return serviceWithPods({ name: 'relay', clusterIPs: [VIP, VIP6], ports, affinity }, servers);
}
