import type { Logger } from 'pino';
import { exitNow } from '../sys/exit.js';

/** How long after the drain time, ms, removing rules may take. Pods and services have 30 s from SIGTERM to SIGKILL. */
export const CLEARING_MS = 20_000;
const REST_MS = 3_000;

/**
 * Whatever hangs, a process that is to end does so in this time: it starts with the call. When nothing is left to do, no thread is
 * waited for either.
 */
export function limitTheEnd(log: Logger, drainTimeoutMs: number): void {
  process.once('exit', (code) => exitNow(code));
  const patienceMs = drainTimeoutMs + CLEARING_MS + REST_MS;
  setTimeout(() => {
    log.fatal(
      `the end took longer than ${patienceMs / 1000} s: leaving now; rules or addresses may be left, ` +
        '"kube-portal run --cleanup" removes them',
    );
    exitNow(1);
  }, patienceMs).unref();
}
