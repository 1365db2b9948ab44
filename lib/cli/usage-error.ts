/** The command line is wrong. The process ends with exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
