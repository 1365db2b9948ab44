import { Command, CommanderError } from 'commander';
import { printable } from '../model/printable.js';
import { LAST_LINES_MS, LineOutput } from './line-output.js';
import { participantsCommand } from './participants.js';
import { pinsCommand } from './pins.js';
import { quickstartCommand } from './quickstart.js';
import { runCommand } from './run.js';
import { sessionsCommand } from './sessions.js';
import { statusCommand } from './status.js';
import { UsageError } from './usage-error.js';
import { packageVersion } from './version.js';

/** Exit codes: 1 after a failure at run time, 2 if the command line is wrong. */
const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

/** Lines of an error message that are printed. The YAML parser shows the place of an error in a few lines. */
const MAX_ERROR_LINES = 10;

/** Runs one command line, for example `['run', '--manifest', 'web.yaml']`, and resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    await program().parseAsync(args, { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    return await report(error);
  }
}

/** The whole command line, ready to parse. An error of a command is thrown and does not exit the process. */
function program(): Command {
  const root = new Command('kube-portal')
    .description('Userspace Service proxy (TCP and UDP) for Kubernetes nodes with minimal kernels.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .exitOverride()
    .showHelpAfterError('(kube-portal --help and kube-portal COMMAND --help list what is accepted)');
  for (const command of [
    runCommand(),
    statusCommand(),
    sessionsCommand(),
    participantsCommand(),
    pinsCommand(),
    quickstartCommand(),
  ]) {
    root.addCommand(command.copyInheritedSettings(root));
    for (const part of command.commands) part.copyInheritedSettings(command);
  }
  return root;
}

async function report(error: unknown): Promise<number> {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const message = error instanceof Error ? error.message : String(error);
  const lines = message.split('\n').slice(0, MAX_ERROR_LINES);
  const output = await LineOutput.of(2);
  output.write(`error: ${lines.map((line) => printable(line)).join('\n')}\n`);
  await output.flush(LAST_LINES_MS);
  return error instanceof UsageError ? EXIT.usage : EXIT.failure;
}
