import pino, { type Logger } from 'pino';
import { LOG_VALUES } from './log-values.js';

/**
 * The program's log on stdout: JSON lines for machines, one readable line per event on a terminal.
 *
 * Both write in this thread: pino's transports would start a worker thread each, which costs memory that a
 * robot board would rather keep, and could lose the last lines before an exit.
 *
 * @param verbosity klog's -v: 0 tells changes and troubles, 4 adds decisions, 6 adds everything.
 */
export async function createLog(verbosity: number): Promise<Logger> {
  const options = {
    ...LOG_VALUES,
    level: levelOf(verbosity),
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  if (!process.stdout.isTTY) return pino(options, pino.destination({ fd: 1, sync: true }));
  const { default: pretty } = await import('pino-pretty');
  return pino(options, pretty({ sync: true, translateTime: 'HH:MM:ss.l', ignore: 'pid,hostname' }));
}

function levelOf(verbosity: number): 'info' | 'debug' | 'trace' {
  if (verbosity >= 6) return 'trace';
  return verbosity >= 4 ? 'debug' : 'info';
}
