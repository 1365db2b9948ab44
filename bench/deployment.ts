import type { Contender, Running, ServiceSet } from './contenders/contender.js';
import { Testbed, type TestbedOptions } from './testbed.js';

/** A testbed on which a contender runs. */
export class Deployment {
  private constructor(
    readonly testbed: Testbed,
    readonly running: Running,
    /** Seconds from the start of the contender until it served. */
    readonly startSeconds: number,
  ) {}

  static async open(
    contender: Contender,
    services: ServiceSet,
    options?: TestbedOptions,
  ): Promise<Deployment> {
    const testbed = await Testbed.open(options);
    try {
      const begun = performance.now();
      const running = await contender.start(testbed, services);
      const { startedAt = begun } = running;
      return new Deployment(testbed, running, (performance.now() - startedAt) / 1000);
    } catch (error) {
      await testbed.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.running.stop();
    await this.testbed.close();
  }
}
