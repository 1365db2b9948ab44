import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one program to its end. Resolves to null where the program is not installed. */
export type RunCommand = (
  program: string,
  args: readonly string[],
  input?: string,
) => Promise<CommandResult | null>;

export const runCommand: RunCommand = async (program, args, input = '') => {
  const child = spawn(program, args, { stdio: 'pipe' });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('close', (code) => resolve(code ?? -1));
    child.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT' ? resolve(null) : reject(error),
    );
  });
  // A program that fails early closes its input; its exit code and message tell the story.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return code === null ? null : { code, stdout, stderr };
};
