import { writeFileSync } from 'node:fs';
import type { Logger } from 'pino';

/**
 * Sets this process's oom_score_adj, see proc_pid_oom_score_adj(5). When memory runs out, the kernel kills
 * processes with a high value first. A value below the one of the container runtime needs CAP_SYS_RESOURCE.
 * Without it the old value stays, and a log line says so.
 */
export function setOomScore(score: number, log: Logger): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', String(score));
  } catch (error) {
    log.warn({ reason: (error as Error).message }, `--oom-score-adj ${score} could not be set`);
  }
}
