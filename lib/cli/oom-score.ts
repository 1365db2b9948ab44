import { writeFileSync } from 'node:fs';
import type { Logger } from 'pino';

/**
 * Tells the kernel how early to kill this process when memory runs out, see proc_pid_oom_score_adj(5).
 * To go below what a container's runtime has set takes CAP_SYS_RESOURCE; without it that value stays,
 * and a line of the log says so.
 */
export function setOomScore(score: number, log: Logger): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', String(score));
  } catch (error) {
    log.warn({ reason: (error as Error).message }, `--oom-score-adj ${score} could not be set`);
  }
}
