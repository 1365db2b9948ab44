import type { Logger } from 'pino';
import { exitNow } from '../sys/exit.js';

/**
 * Milliseconds in which rules must be removed after the drain timeout. Kubernetes sends SIGKILL 30 s after
 * SIGTERM by default, and the default drain timeout is 5 s.
 */
export const CLEANUP_MS = 20_000;
/** Milliseconds in which rules must be removed after a second signal. */
export const HURRIED_CLEANUP_MS = 3_000;
/** Milliseconds for everything else that a shutdown does. */
const REST_MS = 3_000;
/** Milliseconds after the second signal in which the process ends. Usually it takes a fraction of this. */
export const HURRIED_SHUTDOWN_MS = HURRIED_CLEANUP_MS + REST_MS;

/** Milliseconds in which the process ends after the first signal. */
export function maxShutdownMs(drainTimeoutMs: number): number {
  return drainTimeoutMs + CLEANUP_MS + REST_MS;
}

/**
 * Ends the process after `limitMs`, even if something hangs. From now on, an exit of the process does not
 * wait for any thread.
 */
export function limitShutdown(log: Logger, limitMs: number): void {
  process.once('exit', (code) => exitNow(code));
  setTimeout(() => {
    log.fatal(
      `the shutdown took longer than ${limitMs / 1000} s: exiting now; rules or addresses may be left, ` +
        '"kube-portal run --cleanup" removes them',
    );
    exitNow(1);
  }, limitMs).unref();
}
