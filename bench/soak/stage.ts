import { startBackend } from '../../test/lab/backend.js';
import { KubePortal } from '../../test/lab/kubeportal.js';
import { Lab, type Pod } from '../../test/lab/lab.js';
import type { Program } from '../../test/lab/program.js';
import { Cluster } from './cluster.js';
import { SERVED } from './services.js';

export const NAMES = { calm: ['s1', 's2'], restless: ['c1', 'c2', 'c3', 'c4'] } as const;
const WORKERS = 2;

/** The network of a soak: clients, endpoints and a kube-portal that lets a carrier move the bytes. */
export class Stage {
  readonly cluster: Cluster;
  readonly #backends = new Map<string, Program>();
  readonly #flags: readonly string[];
  readonly kubePortal: KubePortal;

  private constructor(
    readonly lab: Lab,
    carrier: string,
  ) {
    const pods = (names: readonly string[]) => names.map((name) => lab.pod(name));
    this.cluster = new Cluster(pods(NAMES.calm), pods(NAMES.restless));
    // As deploy/ does: clients of a process that has ended wait for the next one.
    this.#flags = [`--carrier=${carrier}`, '--redirect=iptables', `--workers=${WORKERS}`, '--keep-rules'];
    this.kubePortal = KubePortal.launch(lab.node, { objects: this.cluster.objects(), flags: this.#flags });
  }

  static async open(carrier: string): Promise<Stage> {
    const pods = ['client', ...NAMES.calm, ...NAMES.restless];
    const lab = await Lab.create({ pods, link: 'point to point' });
    try {
      const stage = new Stage(lab, carrier);
      for (const pod of [...NAMES.calm, ...NAMES.restless]) await stage.start(lab.pod(pod));
      await stage.kubePortal.ready();
      return stage;
    } catch (error) {
      await lab.destroy();
      throw error;
    }
  }

  /** Starts the servers of a pod. */
  async start(pod: Pod): Promise<void> {
    this.#backends.set(pod.name, await startBackend(pod, SERVED));
  }

  async kill({ name }: Pod): Promise<void> {
    await this.#backends.get(name)?.stop('SIGKILL');
  }

  /** Tells kube-portal what the cluster has now. */
  publish(): void {
    this.kubePortal.setManifest(this.cluster.objects());
  }

  async close(): Promise<void> {
    await this.kubePortal.dispose();
    await this.lab.destroy();
  }
}
