import { type ChildProcess, spawn } from 'node:child_process';
import { printable } from '../../model/printable.js';

/** A credential is a few kilobytes, and so is a certificate. */
const MAX_ANSWER_BYTES = 1 << 20;
/** Of what a plug-in complains about, so much is told. */
const MAX_COMPLAINT_BYTES = 512;

/** A program as a kubeconfig names it. */
export interface PluginCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the environment of this process. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Runs a plug-in to its end. It has no input: one that wants to ask a person must fail, not wait. It runs in
 * a process group of its own, which is killed when the time is over, `signal` aborts,
 * or the answer has no end.
 *
 * @returns what it wrote to standard output
 * @throws Error that names the command, never its arguments or its output, which may be secrets
 */
export async function runPlugin(
  { command, args, env }: PluginCommand,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string> {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
  const onAbort = () => over.abort('its answer is no longer wanted');
  signal.addEventListener('abort', onAbort);
  try {
    return await answerOf(child, over.signal);
  } catch (error) {
    throw new Error(`credential plug-in ${command}: ${(error as Error).message}`);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

/** @param over aborts, with the reason, when it is time to give up */
function answerOf(child: ChildProcess, over: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const giveUp = (reason: string) => {
      end(child);
      reject(new Error(`killed: ${reason}`));
    };
    over.addEventListener('abort', () => giveUp(over.reason as string));
    child.on('error', ({ code }: NodeJS.ErrnoException) => reject(new Error(`cannot be started (${code})`)));
    const answer: Buffer[] = [];
    let bytes = 0;
    child.stdout?.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) giveUp('its answer does not end');
      else answer.push(chunk);
    });
    let complaint = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (complaint.length < MAX_COMPLAINT_BYTES) complaint += text;
    });
    child.on('close', (code, killer) => {
      if (code === 0) resolve(Buffer.concat(answer).toString());
      else reject(new Error([`ended with ${killer ?? code}`, shown(complaint)].filter(Boolean).join(': ')));
    });
  });
}

/** With everything that it has started, except what has left its group: nobody waits for that. */
function end(child: ChildProcess): void {
  child.stdout?.destroy();
  child.stderr?.destroy();
  // What the kernel does not let die does not keep this process from ending.
  child.unref();
  try {
    process.kill(-(child.pid as number), 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

function shown(complaint: string): string {
  return printable(complaint.trim().replaceAll(/\s*\n\s*/g, ' | '), MAX_COMPLAINT_BYTES);
}
