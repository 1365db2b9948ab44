import { fileURLToPath } from 'node:url';
import type { Host } from '../test/lab/host.js';
import { Lab } from '../test/lab/lab.js';
import type { Program } from '../test/lab/program.js';
import type { LoadPlan, LoadResult, Target } from './load/plan.js';
import { congestionControl } from './machine.js';
import { IPERF_PORT } from './service.js';

/** A load program may run so much longer than its plan says. */
const PATIENCE_MS = 120_000;

const program = (name: string) => fileURLToPath(new URL(`load/${name}.js`, import.meta.url));

/**
 * The network of a measurement: client pod → node → backend pod. The load server and iperf3 run in the
 * backend.
 */
export class Testbed {
  readonly node: Host;
  readonly backend: Host;
  readonly client: Host;

  private constructor(readonly lab: Lab) {
    this.node = lab.node;
    this.backend = lab.pod('backend');
    this.client = lab.pod('client');
  }

  static async open(): Promise<Testbed> {
    const lab = await Lab.create({ pods: ['client', 'backend'] });
    try {
      const testbed = new Testbed(lab);
      for (const host of [testbed.node, testbed.backend, testbed.client]) {
        await host.sysctl({
          'net/ipv4/ip_local_port_range': '10000 65535',
          'net/ipv4/tcp_congestion_control': congestionControl(),
        });
      }
      const server = testbed.backend.spawn(process.execPath, [program('server')]);
      const iperf = testbed.backend.spawn('iperf3', ['-s', '-p', String(IPERF_PORT), '--forceflush']);
      await server.waitForOutput(/^ready$/m);
      await iperf.waitForOutput(/^Server listening/m);
      return testbed;
    } catch (error) {
      await lab.destroy();
      throw error;
    }
  }

  /** Runs the load generator in the client pod. */
  async load(plan: LoadPlan): Promise<LoadResult> {
    const args = [program('client'), JSON.stringify(plan)];
    const timeoutMs = (plan.warmup + plan.duration) * 1000 + PATIENCE_MS;
    return JSON.parse(await this.client.must(process.execPath, args, { timeoutMs })) as LoadResult;
  }

  /**
   * Opens idle connections from the client pod. Resolves once all are open. They end when the input of the
   * program is closed.
   */
  async hold({ address, port }: Target, connections: number): Promise<Program> {
    const args = [program('hold'), address, String(port), String(connections)];
    const holder = this.client.spawn(process.execPath, args);
    await holder.waitForOutput(/^open$/m);
    return holder;
  }

  close(): Promise<void> {
    return this.lab.destroy();
  }
}
