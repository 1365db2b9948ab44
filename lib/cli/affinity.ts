import { Command, Option } from 'commander';
import { KINDS, type Kind, type ServicePort } from '../affinity/asking/identify/kinds.js';
import type { Affinity } from '../affinity/result.js';
import { collectTexts, parseClients, parseReportUrl, parseServicePorts } from './affinity-flags.js';
import {
  type BindTarget,
  integerBetween,
  parseBindTarget,
  parseDuration,
  parseDurationOrZero,
} from './parse.js';

/** Forms of a result. */
export type ResultFormat = 'text' | 'json' | 'html';

export interface AffinityFlags {
  readonly ports?: readonly ServicePort[];
  readonly clients?: readonly string[];
  readonly rounds: number;
  readonly expect?: Affinity;
  readonly identify: Kind | 'auto';
  readonly httpPath: string;
  readonly patience: number;
  readonly during: readonly string[];
  readonly interval: number;
  readonly settle: number;
  readonly idle?: number;
  readonly kubeconfig?: string;
  readonly reportTo?: string;
  readonly output: ResultFormat;
}

export interface GatherFlags {
  readonly listen: BindTarget;
  readonly pods: number;
  readonly wait: number;
  readonly output: ResultFormat;
}

export interface RespondFlags {
  readonly ports: readonly ServicePort[];
  readonly name?: string;
}

/** `kube-portal affinity`: tests the session affinity of a Service, whatever proxy serves it. */
export function affinityCommand(): Command {
  const command = new Command('affinity')
    .description('Test the session affinity of a Service, whatever proxy serves it.')
    .argument(
      '<service>',
      'the Service: its address, or NAMESPACE/NAME or NAME, which the API server is asked for',
    )
    .action(async (target: string, flags: AffinityFlags) => {
      const { testAffinity } = await import('./affinity-run.js');
      await testAffinity(target, flags);
    });
  for (const option of affinityOptions()) command.addOption(option);
  return command.addCommand(respondCommand()).addCommand(gatherCommand());
}

function affinityOptions(): Option[] {
  return [
    new Option(
      '--ports <list>',
      'ports to ask, such as 80/tcp,7410/udp (default: all TCP and UDP ports of the Service, if it is given by name)',
    ).argParser(parseServicePorts),
    new Option(
      '--clients <list>',
      'addresses and CIDRs to ask from. They are brought up in a network namespace of their own, which needs root. ' +
        'Can be given several times (default: the address of this machine)',
    ).argParser(parseClients),
    new Option('--rounds <number>', 'how often each client asks each port')
      .argParser(integerBetween(2, 10_000))
      .default(10),
    new Option(
      '--expect <affinity>',
      "what the exit code compares with (default: the Service's own, if it is given by name, else ClientIP)",
    ).choices(['ClientIP', 'None']),
    new Option(
      '--identify <kind>',
      'how backends are asked for their names; auto tries for each port what answers',
    )
      .choices(['auto', ...KINDS])
      .default('auto'),
    new Option('--http-path <path>', 'what http asks for, such as /hostname').default('/'),
    new Option('--patience <duration>', 'how long an answer is waited for')
      .argParser(parseDuration)
      .default(2000, '2s'),
    new Option(
      '--during <command>',
      'a shell command of which the effect on sessions is measured. Can be given several times',
    )
      .argParser(collectTexts)
      .default([], 'none'),
    new Option('--interval <duration>', 'time between two questions of a link while a command runs')
      .argParser(parseDuration)
      .default(100, '100ms'),
    new Option('--settle <duration>', 'how long links are watched after a command has ended')
      .argParser(parseDurationOrZero)
      .default(5000, '5s'),
    new Option(
      '--idle <duration>',
      'measures the time-out of the affinity, with pauses that are no longer than this',
    ).argParser(parseDuration),
    new Option(
      '--kubeconfig <path>',
      "file with the API server's address and credentials (default: $KUBECONFIG, or in a pod its service account)",
    ),
    new Option('--report-to <url>', 'sends what was seen to a program that gathers, instead of judging it')
      .argParser(parseReportUrl)
      .conflicts(['during', 'idle']),
    outputOption(),
  ];
}

function outputOption(): Option {
  return new Option('-o, --output <format>', 'form of the result')
    .choices(['text', 'json', 'html'])
    .default('text');
}

function respondCommand(): Command {
  return new Command('respond')
    .description('Be a backend that tells its name, over HTTP and as an echo, for tests.')
    .addOption(
      new Option('--ports <list>', 'ports to answer at, such as 80/tcp,7410/udp')
        .argParser(parseServicePorts)
        .makeOptionMandatory(),
    )
    .option('--name <name>', 'the name to tell (default: the host name)')
    .action(async (flags: RespondFlags) => {
      const { answerQuestions } = await import('./affinity-respond.js');
      await answerQuestions(flags);
    });
}

function gatherCommand(): Command {
  return new Command('gather')
    .description('Gather what clients in several pods have seen, and judge it.')
    .addOption(
      new Option('--pods <number>', 'how many clients report')
        .argParser(integerBetween(1, 1000))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--listen <address:port>', 'where clients report to')
        .argParser(parseBindTarget)
        .default({ host: '0.0.0.0', port: 8080 }, '0.0.0.0:8080'),
    )
    .addOption(
      new Option('--wait <duration>', 'how long clients are waited for')
        .argParser(parseDuration)
        .default(300_000, '5m'),
    )
    .addOption(outputOption())
    .action(async (flags: GatherFlags) => {
      const { gatherReports } = await import('./affinity-gather.js');
      await gatherReports(flags);
    });
}
