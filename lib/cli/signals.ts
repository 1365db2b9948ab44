import type { Logger } from 'pino';
import { exitNow } from '../sys/exit.js';

/**
 * Waits for the order to end: resolves on SIGTERM or SIGINT, rejects on an error that nobody caught, so that the
 * caller can clean up in either case. From then on one more signal ends the process at once, with exit code 1, for
 * the person who cannot wait for connections to drain.
 */
export function untilToldToStop(log: Logger): Promise<void> {
  const told = new Promise<void>((resolve, reject) => {
    let stopping = false;
    const onSignal = (signal: NodeJS.Signals) => {
      if (stopping) return exitNow(1);
      stopping = true;
      log.info({ signal }, 'stopping; a second signal ends at once, without cleaning up');
      resolve();
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
    process.on('uncaughtException', (error) => {
      stopping = true;
      log.fatal({ err: error }, 'unexpected error');
      reject(error);
    });
  });
  // Whoever awaits the promise later sees the error; until then it must not count as unhandled once more.
  told.catch(() => undefined);
  return told;
}
