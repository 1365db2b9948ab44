import type { LoggerOptions } from 'pino';
import { printable } from '../model/printable.js';

/** More than any list or object that this program logs has. */
const MAX_MEMBERS = 100;
const MAX_DEPTH = 4;

/**
 * What pino does with everything that is logged: whoever logs a value need not ask where it comes from, since
 * here each is made {@link printable}. Of an error only what it says is told: Node adds the command with its
 * arguments, the whole URL and the like to some, and these can hold passwords.
 */
export const LOG_VALUES: Pick<LoggerOptions, 'formatters' | 'hooks' | 'serializers'> = {
  formatters: { log: (values) => shownMembers(values, 0) },
  hooks: {
    logMethod([first, second], method) {
      const [values, message] = typeof first === 'string' ? [undefined, first] : [first, second];
      // pino takes what an error says for the message where there is none.
      const text = message ?? (values instanceof Error ? values.message : undefined);
      method.call(this, values, typeof text === 'string' ? printable(text) : text);
    },
  },
  // The formatter has done it already; pino's own would add what was left out.
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
    // The message is told above, and can be of any length.
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
