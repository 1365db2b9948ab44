import { fileURLToPath } from 'node:url';
import type { Host } from '../test/lab/host.js';
import { Lab } from '../test/lab/lab.js';
import type { Program } from '../test/lab/program.js';
import type { HoldPlan, LoadPlan, LoadResult } from './load/plan.js';
import { congestionControl } from './machine.js';
import { IPERF_PORT } from './service.js';

/** Of the client pod, for rows with more flows than one address has ports. */
const CLIENT_RANGE = '10.244.128.0/28';
export const CLIENT_ADDRESSES: readonly string[] = Array.from(
  { length: 14 },
  (_, i) => `10.244.128.${i + 1}`,
);

/** Open descriptors that a proxy may have. A connection of a relay takes two or more. */
export const PROXY_DESCRIPTORS = 20_000;
/** Connections of one load program. Many machines allow a program hardly more descriptors. */
const MAX_HELD = 15_000;
/** Programs in the backend that share the connections. */
const KEEPERS = 4;

/** Local ports of hosts: Linux's default, or more, so that no row is about the lack of them. */
const PORT_RANGES = { usual: '32768 60999', wide: '10000 65535' };

export interface TestbedOptions {
  /** Local ports that the node's programs get from the kernel. Default: `wide`. */
  readonly nodePorts?: keyof typeof PORT_RANGES;
}

/** A load program may run so much longer than its plan says. */
const PATIENCE_MS = 120_000;

const program = (name: string) => fileURLToPath(new URL(`load/${name}.js`, import.meta.url));

/**
 * The network of a measurement: client pod → node → backend pod. Each pod has a link of its own to the
 * node. So the kernel can carry with the client's address on every machine: between two ports of one bridge
 * it cannot where bridge-nf-call-iptables is off. The load server and iperf3 run in the backend.
 */
export class Testbed {
  readonly node: Host;
  readonly backend: Host;
  readonly client: Host;
  #keepers: Promise<void> | undefined;

  private constructor(readonly lab: Lab) {
    this.node = lab.node;
    this.backend = lab.pod('backend');
    this.client = lab.pod('client');
  }

  static async open({ nodePorts = 'wide' }: TestbedOptions = {}): Promise<Testbed> {
    const lab = await Lab.create({ pods: ['client', 'backend'], link: 'point to point' });
    try {
      const testbed = new Testbed(lab);
      for (const host of [testbed.node, testbed.backend, testbed.client]) {
        await host.sysctl({
          'net/ipv4/ip_local_port_range': PORT_RANGES[host === testbed.node ? nodePorts : 'wide'],
          'net/ipv4/tcp_congestion_control': congestionControl(),
        });
      }
      await lab.pod('client').ownRange(CLIENT_RANGE);
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

  /** Starts a proxy on the node. It may have {@link PROXY_DESCRIPTORS} open. */
  spawnProxy(command: string, args: readonly string[]): Program {
    return this.node.spawn('prlimit', [`--nofile=${PROXY_DESCRIPTORS}`, command, ...args]);
  }

  /**
   * Opens idle connections from the client pod. They end with the testbed.
   * @param connections at most {@link KEEPERS} times {@link MAX_HELD}, all together
   * @returns how many are open. They are fewer than asked for if the next ones had no answer.
   */
  async hold(address: string, connections: number): Promise<number> {
    this.#keepers ??= this.#startKeepers();
    await this.#keepers;
    const holders: Program[] = [];
    for (let left = connections; left > 0; left -= MAX_HELD) {
      const plan: HoldPlan = { address, connections: Math.min(left, MAX_HELD), sources: CLIENT_ADDRESSES };
      holders.push(this.client.spawn(process.execPath, [program('hold'), JSON.stringify(plan)]));
    }
    for (const holder of holders) await holder.waitForOutput(/^opened$/m);
    const open = holders.map(async (holder) => {
      holder.write('\n');
      return Number((await holder.waitForOutput(/^open (\d+)$/m))[1]);
    });
    return (await Promise.all(open)).reduce((sum, count) => sum + count, 0);
  }

  async #startKeepers(): Promise<void> {
    for (let i = 0; i < KEEPERS; i++)
      await this.backend.spawn(process.execPath, [program('keeper')]).waitForOutput(/^ready$/m);
  }

  close(): Promise<void> {
    return this.lab.destroy();
  }
}
