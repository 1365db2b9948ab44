import type { Contender, Running, Setting } from './contenders/contender.js';
import { Stage } from './stage.js';

/** A stage with a contender at work on it. */
export class Arena {
  private constructor(
    readonly stage: Stage,
    readonly running: Running,
    /** From the start of the contender until it was ready to serve. */
    readonly startSeconds: number,
  ) {}

  static async open(contender: Contender, setting: Setting): Promise<Arena> {
    const stage = await Stage.open();
    try {
      const start = performance.now();
      const running = await contender.start(stage, setting);
      return new Arena(stage, running, (performance.now() - start) / 1000);
    } catch (error) {
      await stage.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.running.stop();
    await this.stage.close();
  }
}
