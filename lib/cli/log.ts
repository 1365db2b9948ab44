import { isatty } from 'node:tty';
import pino, { type Logger } from 'pino';
import { LineOutput } from './line-output.js';
import { LOG_VALUES } from './log-values.js';

/** The program's log, and where it goes. */
export interface Log {
  readonly logger: Logger;
  readonly output: LineOutput;
}

/**
 * The program's log on stdout: JSON lines for machines, one readable line per event on a terminal.
 *
 * Both write in this thread: pino's transports would start a worker thread each, which costs memory that a
 * robot board would rather keep, and could lose the last lines before an exit. Neither ever waits for its
 * reader. What Node itself warns of goes there too: its own way would write to stderr, and wait.
 *
 * @param verbosity klog's -v: 0 tells changes and troubles, 4 adds decisions, 6 adds everything.
 */
export async function createLog(verbosity: number): Promise<Log> {
  const output = await LineOutput.of(1);
  const options = {
    ...LOG_VALUES,
    level: levelOf(verbosity),
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  const logger = pino(options, isatty(1) ? await readable(output) : output);
  output.onDropped((count) => logger.warn({ count }, 'lines of the log were dropped: nobody took them'));
  process.removeAllListeners('warning');
  process.on('warning', (warning) => logger.warn({ err: warning }, 'Node.js warns'));
  return { logger, output };
}

async function readable(output: LineOutput): Promise<{ write(line: string): void }> {
  const { prettyFactory } = await import('pino-pretty');
  const format = prettyFactory({ translateTime: 'HH:MM:ss.l', ignore: 'pid,hostname' });
  return { write: (line) => output.write(format(line)) };
}

function levelOf(verbosity: number): 'info' | 'debug' | 'trace' {
  if (verbosity >= 6) return 'trace';
  return verbosity >= 4 ? 'debug' : 'info';
}
