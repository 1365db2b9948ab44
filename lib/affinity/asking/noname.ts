/** No backend told its name. The message is the reason: the code of the error, or words. */
export class NoName extends Error {
  override readonly name = 'NoName';
}

/** The reason of an error that came instead of an answer, such as `ECONNREFUSED`. */
export function reasonOf(error: unknown): string {
  if (error instanceof NoName) return error.message;
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

export const REASONS = {
  silence: 'no answer',
  closed: 'closed without an answer',
  nameless: 'no name in the answer',
} as const;
