import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Runs a command of the user in a shell, with its output on standard error, so that standard output has the
 * result and nothing else.
 * @param signal ends the command, with all that it has started
 * @returns the exit code; null if a signal ended it
 */
export async function runInShell(command: string, signal: AbortSignal): Promise<number | null> {
  // In a process group of its own, so that what the shell has started can be ended with it.
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 2, 2], detached: true });
  const stop = () => process.kill(-(child.pid as number), 'SIGTERM');
  child.once('spawn', () => signal.addEventListener('abort', stop));
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return code;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
