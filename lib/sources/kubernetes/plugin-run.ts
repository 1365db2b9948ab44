import { printable } from '../../model/printable.js';
import { Program } from '../../sys/program.js';
import type { PluginCommand } from './plugin-command.js';

/** A credential is a few kilobytes, and so is a certificate. */
const MAX_ANSWER_BYTES = 1 << 20;
/** What a plug-in complains about has its beginning kept, and less of it told. */
const MAX_COMPLAINT_BYTES = 4096;
const SHOWN_BYTES = 512;

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
  const killed = (reason: string) => () => new Error(`killed: ${reason}`);
  const options = { env, graceMs: 0, outputBytes: MAX_ANSWER_BYTES, errorBytes: MAX_COMPLAINT_BYTES };
  try {
    const program = new Program(command, args, { ...options, tooMuch: killed('its answer does not end') });
    program.endWithin(timeoutMs, killed(`no answer within ${timeoutMs / 1000} s`));
    return await answerOf(program, signal, killed('its answer is no longer wanted'));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`credential plug-in ${command}: ${code ? `cannot be started (${code})` : message}`);
  }
}

async function answerOf(program: Program, signal: AbortSignal, notWanted: () => Error): Promise<string> {
  const onAbort = () => program.end(notWanted());
  signal.addEventListener('abort', onAbort);
  try {
    const { code, signal: killer, stdout, stderr } = await program.finish();
    if (code === 0) return stdout;
    throw new Error([`ended with ${killer ?? code}`, shown(stderr)].filter(Boolean).join(': '));
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function shown(complaint: string): string {
  return printable(complaint.trim().replaceAll(/\s*\n\s*/g, ' | '), SHOWN_BYTES);
}
