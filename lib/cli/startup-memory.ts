import type { Logger } from 'pino';
import { forgetStartupCode } from '../sys/startup-code.js';
import { collectStartupGarbage } from '../sys/startup-garbage.js';

/**
 * Gives the memory that only the start needs back to the kernel. Workers do the same for their own heaps. If
 * this fails, the process stays larger.
 */
export async function releaseStartupMemory(log: Logger): Promise<void> {
  try {
    await collectStartupGarbage();
    forgetStartupCode();
  } catch (error) {
    log.debug({ reason: (error as Error).message }, 'the memory of the start is not released');
  }
}
