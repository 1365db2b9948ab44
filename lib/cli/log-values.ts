import type { LoggerOptions } from 'pino';
import { printable } from '../model/printable.js';

/** Members of a list or object that are logged. This program logs none with more. */
const MAX_MEMBERS = 100;
/** Levels of nested objects that are logged. A deeper object is logged as `...`. */
const MAX_DEPTH = 4;

/**
 * Makes every logged value {@link printable}, so that callers can log values from any origin. Of an error,
 * only type, message, stack, code and cause are logged: Node adds the command line or the whole URL to some
 * errors, and these can contain passwords.
 */
export const LOG_VALUES: Pick<LoggerOptions, 'formatters' | 'hooks' | 'serializers'> = {
  formatters: { log: (values) => shownMembers(values, 0) },
  hooks: {
    logMethod([first, second], method) {
      const [values, message] = typeof first === 'string' ? [undefined, first] : [first, second];
      // Without a message of its own, a log line gets the error's message from pino.
      const text = message ?? (values instanceof Error ? values.message : undefined);
      method.call(this, values, typeof text === 'string' ? printable(text) : text);
    },
  },
  // The formatter has converted the error. pino's own serializer would add the members that were left out.
  serializers: { err: (shown: unknown) => shown },
};

function shown(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return printable(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return shownError(value, depth);
  if (depth === MAX_DEPTH) return '...';
  if (Array.isArray(value)) return shownList(value, depth);
  return shownMembers(value, depth);
}

function shownMembers(values: object, depth: number): Record<string, unknown> {
  const members = Object.entries(values).slice(0, MAX_MEMBERS);
  return Object.fromEntries(members.map(([name, value]) => [printable(name), shown(value, depth + 1)]));
}

function shownList(values: readonly unknown[], depth: number): unknown[] {
  const list = values.slice(0, MAX_MEMBERS).map((value) => shown(value, depth + 1));
  if (values.length > MAX_MEMBERS) list.push(`... (${values.length - MAX_MEMBERS} more)`);
  return list;
}

function shownError(error: Error, depth: number): object {
  const { name, message, stack = '', cause } = error;
  const { code } = error as NodeJS.ErrnoException;
  return {
    type: name,
    message: printable(message),
    // Frames only: the stack repeats the message, which can have any length.
    stack: stack
      .split('\n')
      .filter(isFrame)
      .map((frame) => printable(frame))
      .join('\n'),
    ...(typeof code === 'string' && { code: printable(code) }),
    ...(cause !== undefined && { cause: shown(cause, depth + 1) }),
  };
}

function isFrame(line: string): boolean {
  return /^ {4}at /.test(line);
}
