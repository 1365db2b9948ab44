import type { Contender, Running } from './contenders/contender.js';
import { Stage } from './stage.js';

/** A stage with a contender at work on it. */
export class Arena {
  private constructor(
    readonly stage: Stage,
    readonly running: Running,
    /** From the start of the contender until it was ready to serve. */
    readonly startSeconds: number,
  ) {}

  /** @param ports how many service ports there are */
  static async open(contender: Contender, ports: number): Promise<Arena> {
    const stage = await Stage.open();
    try {
      const start = performance.now();
      const running = await contender.start(stage, ports);
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
