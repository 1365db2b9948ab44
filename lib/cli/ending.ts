import type { Logger } from 'pino';
import { exitNow } from '../sys/exit.js';

/**
 * How long after the drain time, ms, removing rules may take.
 * Pods and services have 30 s from SIGTERM to SIGKILL.
 */
export const CLEARING_MS = 20_000;
/** The same for those who have said twice that it should end. */
export const HURRIED_CLEARING_MS = 3_000;
const REST_MS = 3_000;
/**
 * How long, ms, the end takes at most after a second signal. Where nothing hangs it takes a fraction of it.
 */
export const HASTE_MS = HURRIED_CLEARING_MS + REST_MS;

/** How long, ms, the end takes at most. */
export function patienceWithTheEnd(drainTimeoutMs: number): number {
  return drainTimeoutMs + CLEARING_MS + REST_MS;
}

/**
 * Whatever hangs, a process that is to end does so in this time: it starts with the call. When nothing is
 * left to do, no thread is waited for either.
 */
export function limitTheEnd(log: Logger, patienceMs: number): void {
  process.once('exit', (code) => exitNow(code));
  setTimeout(() => {
    log.fatal(
      `the end took longer than ${patienceMs / 1000} s: leaving now; rules or addresses may be left, ` +
        '"kube-portal run --cleanup" removes them',
    );
    exitNow(1);
  }, patienceMs).unref();
}
