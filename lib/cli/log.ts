import { isatty } from 'node:tty';
import pino, { type Logger } from 'pino';
import { LineOutput } from './line-output.js';
import { LOG_VALUES } from './log-values.js';

/** The program's log and its output. */
export interface Log {
  readonly logger: Logger;
  readonly output: LineOutput;
}

/**
 * Creates the log on standard output: readable lines if it is a terminal, otherwise JSON lines.
 *
 * Lines are written in this thread. A pino transport would start a worker thread: it costs memory, and the
 * last lines before an exit could be lost. Writing never waits for the reader. Node's own warnings become log
 * lines too: by default Node writes them to stderr, and such a write can block.
 *
 * @param verbosity as klog's -v. 0: changes and problems. 4: also decisions. 6: everything.
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
  output.onDropped((count) => logger.warn({ count }, 'log lines were dropped: nothing read standard output'));
  process.removeAllListeners('warning');
  process.on('warning', (warning) => logger.warn({ err: warning }, 'a warning of Node.js'));
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
