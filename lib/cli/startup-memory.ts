import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Logger } from 'pino';
import { forgetStartupCode } from '../sys/startup-code.js';

/** Gives the memory that only the start needs back to the kernel. If this fails, the process stays larger. */
export function releaseStartupMemory(log: Logger): void {
  try {
    collectGarbage();
    forgetStartupCode();
  } catch (error) {
    log.debug({ reason: (error as Error).message }, 'the memory of the start is not released');
  }
}

/** V8 collects only when something is allocated. Without changes, the garbage of the start would stay. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  setFlagsFromString('--no-expose-gc');
  collect();
}
