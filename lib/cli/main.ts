import { Command, CommanderError } from 'commander';
import { NotMeasured } from '../affinity/notmeasured.js';
import { printable } from '../model/printable.js';
import { affinityCommand } from './affinity.js';
import { endpointsCommand } from './endpoints.js';
import { Ended, EXIT } from './exit-code.js';
import { LAST_LINES_MS, LineOutput } from './line-output.js';
import { participantsCommand } from './participants.js';
import { pinsCommand } from './pins.js';
import { quickstartCommand } from './quickstart.js';
import { runCommand } from './run.js';
import { sessionsCommand } from './sessions.js';
import { statusCommand } from './status.js';
import { UsageError } from './usage-error.js';
import { packageVersion } from './version.js';

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
    .helpOption('-h, --help', 'print this help')
    .enablePositionalOptions()
    .showHelpAfterError('(kube-portal --help and kube-portal COMMAND --help list what is accepted)');
  for (const command of [
    runCommand(),
    statusCommand(),
    sessionsCommand(),
    endpointsCommand(),
    participantsCommand(),
    pinsCommand(),
    affinityCommand(),
    quickstartCommand(),
  ]) {
    root.addCommand(command);
  }
  settle(root, root);
  return root;
}

/**
 * Gives a command and its subcommands the settings of the root. Options behind the name of a subcommand are
 * the subcommand's, so that both may have options of the same names, and each has `--version`.
 */
function settle(command: Command, root: Command): void {
  command
    .copyInheritedSettings(root)
    .version(packageVersion(), '-V, --version', 'print the version')
    .exitOverride();
  for (const subcommand of command.commands) settle(subcommand, root);
}

async function report(error: unknown): Promise<number> {
  if (error instanceof Ended) return error.exitCode;
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const message = error instanceof Error ? error.message : String(error);
  const lines = message.split('\n').slice(0, MAX_ERROR_LINES);
  const output = await LineOutput.of(2);
  output.write(`error: ${lines.map((line) => printable(line)).join('\n')}\n`);
  await output.flush(LAST_LINES_MS);
  if (error instanceof NotMeasured) return EXIT.notMeasured;
  return error instanceof UsageError ? EXIT.usage : EXIT.failure;
}
