import { type Logger, pino } from 'pino';

/** A logger, and the messages and reasons of its warnings and errors. */
export function listening(): { log: Logger; troubles: string[] } {
  const troubles: string[] = [];
  const write = (line: string) => {
    const { level, msg, reason } = JSON.parse(line);
    if (level > 30) troubles.push([msg, reason].filter(Boolean).join(': '));
    else troubles.push(`info: ${msg}`);
  };
  return { log: pino({}, { write }), troubles };
}
