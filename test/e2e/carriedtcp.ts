import type { Test } from 'tap';
import { type BackendOptions, startBackend } from '../lab/backend.js';
import { askTcp, type TcpReply, type TcpRequest } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { type ServiceOptions, serviceWithPods } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';
import { settled } from '../lab/settled.js';
import { count, nameIn, type Tally } from '../lab/tally.js';

export const VIPS = { IPv4: '10.96.0.10', IPv6: 'fd00:96::10' } as const;
export const FAMILIES = ['IPv4', 'IPv6'] as const;
export const PORT = 80;
const SERVERS: NonNullable<BackendOptions['tcp']> = { [PORT]: 'client', 81: 'name', 82: 'echo' };
const PORTS = Object.keys(SERVERS).map((port) => ({ name: `p${port}`, port: Number(port) }));

export interface CarriedOptions extends Pick<ServiceOptions, 'affinity' | 'annotations'> {
  readonly servers?: readonly string[];
  readonly flags?: readonly string[];
}

/**
 * A client, pods behind a VIP of each family, and a daemon that lets the kernel carry. No pod is on a bridge.
 */
export class CarriedTcp {
  readonly #backends = new Map<string, Program>();

  private constructor(
    readonly lab: Lab,
    readonly servers: readonly Pod[],
    readonly kubePortal: KubePortal,
    readonly options: CarriedOptions,
  ) {}

  /** @param prepare makes the lab ready before the daemon starts */
  static async forTest(
    t: Test,
    options: CarriedOptions = {},
    prepare: (lab: Lab) => Promise<void> = async () => {},
  ): Promise<CarriedTcp> {
    const names = options.servers ?? ['a', 'b'];
    const lab = await Lab.forTest(t, { pods: ['client', ...names], link: 'point to point' });
    await prepare(lab);
    const servers = names.map((name) => lab.pod(name));
    const flags = ['--carrier=kernel', '--redirect=iptables', ...(options.flags ?? [])];
    const kubePortal = KubePortal.launch(lab.node, { objects: objectsOf(options, servers), flags });
    t.teardown(() => kubePortal.dispose());
    const carried = new CarriedTcp(lab, servers, kubePortal, options);
    for (const { name } of servers) await carried.start(name);
    await kubePortal.ready();
    return carried;
  }

  get client(): Pod {
    return this.lab.pod('client');
  }

  /** Asks the port that tells the client's address, one connection after the other unless told otherwise. */
  ask(request: Partial<TcpRequest> = {}, host: Host = this.client): Promise<TcpReply[]> {
    return askTcp(host, { address: VIPS.IPv4, port: PORT, send: '?', concurrency: 1, ...request });
  }

  async start(name: string): Promise<void> {
    this.#backends.set(name, await startBackend(this.lab.pod(name), { tcp: SERVERS }));
  }

  async kill(name: string): Promise<void> {
    await this.#backends.get(name)?.stop('SIGKILL');
  }

  /** Leaves these pods behind the VIPs. Resolves when kube-portal knows. */
  async setServers(servers: readonly Pod[]): Promise<void> {
    this.kubePortal.setManifest(objectsOf(this.options, servers));
    await settled(this.kubePortal, servers.length);
  }

  /** Annotates the Service. Resolves when kube-portal knows. */
  async setCarrier(carrier: 'kernel' | 'relay'): Promise<void> {
    this.kubePortal.setManifest(objectsOf({ ...this.options, annotations: { carrier } }, this.servers));
    await this.kubePortal.until(async () => {
      const { portals } = await this.kubePortal.status();
      return portals.every((portal) => portal.carrier === carrier);
    }, `the carrier is ${carrier}`);
  }

  /** How many connections were handed over or accepted, and what became of them. */
  async counted(field: 'connectionsTotal' | 'connectionsRefused' | 'connectFailures'): Promise<number> {
    const { counters } = await this.kubePortal.status();
    return counters.reduce((sum, counter) => sum + counter[field], 0);
  }
}

function objectsOf({ affinity = false, annotations = {} }: CarriedOptions, servers: readonly Pod[]) {
  const options = { name: 'web', clusterIPs: Object.values(VIPS), ports: PORTS, affinity, annotations };
  return serviceWithPods(options, servers);
}

/** How often each server has answered. */
export function names(replies: readonly TcpReply[]): Tally {
  return count(replies.map(({ outcome, text }) => (outcome === 'answer' ? nameIn(text) : outcome)));
}

/** How often servers have seen each address. */
export function sources(replies: readonly TcpReply[]): Tally {
  return count(
    replies.map(({ outcome, text }) => (outcome === 'answer' ? text.replace(/^.*?:/, '') : outcome)),
  );
}
