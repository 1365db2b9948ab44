import { printable } from '../../model/printable.js';
import { Program } from '../../sys/program.js';
import type { PluginCommand } from './plugin-command.js';

/** Bytes of standard output. Credentials and certificates have a few kilobytes. */
const MAX_ANSWER_BYTES = 1 << 20;
/** Bytes of standard error that are kept. */
const MAX_COMPLAINT_BYTES = 4096;
/** Bytes of standard error that a message shows. */
const MAX_SHOWN_BYTES = 512;

/**
 * Runs a plug-in to its end. Its standard input is empty, so a plug-in that asks a person fails and does not
 * wait. It runs in its own process group. The group is killed after `timeoutMs`, if `signal` aborts, or if
 * the answer is too long.
 *
 * @returns its standard output
 * @throws Error that names the command, but not the arguments or the answer: they may be secrets
 */
export async function runPlugin(
  { command, args, env }: PluginCommand,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string> {
  const killed = (reason: string) => () => new Error(`killed: ${reason}`);
  const options = { env, graceMs: 0, outputBytes: MAX_ANSWER_BYTES, errorBytes: MAX_COMPLAINT_BYTES };
  const tooMuch = killed(`its answer is longer than ${MAX_ANSWER_BYTES >> 20} MiB`);
  try {
    const program = new Program(command, args, { ...options, tooMuch });
    program.endWithin(timeoutMs, killed(`no answer within ${timeoutMs / 1000} s`));
    return await finish(program, signal, killed('its answer is no longer needed'));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`credential plug-in ${command}: ${code ? `cannot be started (${code})` : message}`);
  }
}

async function finish(program: Program, signal: AbortSignal, notNeeded: () => Error): Promise<string> {
  const onAbort = () => program.end(notNeeded());
  signal.addEventListener('abort', onAbort);
  try {
    const { code, signal: killer, stdout, stderr } = await program.finish();
    if (code === 0) return stdout;
    throw new Error([`ended with ${killer ?? code}`, inOneLine(stderr)].filter(Boolean).join(': '));
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function inOneLine(complaint: string): string {
  return printable(complaint.trim().replaceAll(/\s*\n\s*/g, ' | '), MAX_SHOWN_BYTES);
}
