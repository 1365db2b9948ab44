import { Option } from 'commander';
import { hostPort } from '../net/hostport.js';
import { type BindTarget, parseBindTarget } from './parse.js';
import { UsageError } from './usage-error.js';

/** Milliseconds for a whole answer. The longest answer lists 100,000 sessions. */
const TIMEOUT_MS = 30_000;
/** HTTP status. The body of the answer says what is wrong with the query. */
const BAD_REQUEST = 400;

/** The flag of all commands that print a report. */
export interface OutputFlags {
  readonly output: 'table' | 'json';
}

/** The flags of all commands that ask the metrics server of this node's kube-portal. */
export interface AskFlags extends OutputFlags {
  readonly metricsBindAddress: BindTarget;
}

export function outputOption(): Option {
  return new Option('-o, --output <format>', 'form of the output')
    .choices(['table', 'json'])
    .default('table');
}

export function askOptions(): Option[] {
  return [
    outputOption(),
    new Option(
      '--metrics-bind-address <address:port>',
      'address of the running kube-portal; the same value as for run',
    )
      .argParser(parseBindTarget)
      .default({ host: '127.0.0.1', port: 10_249 }, '127.0.0.1:10249'),
  ];
}

/**
 * Asks the kube-portal of this node for a report, and prints it as JSON or as the text of `describe`.
 * @param path includes the query
 * @throws UsageError if kube-portal refuses the query; Error if nothing answers
 */
export async function printReport<Report>(
  { output, metricsBindAddress }: AskFlags,
  path: string,
  describe: (report: Report) => string,
): Promise<void> {
  if (metricsBindAddress === 'off')
    throw new UsageError('--metrics-bind-address: there must be an address to ask, such as 127.0.0.1:10249');
  const report = await ask(hostPort(metricsBindAddress.host, metricsBindAddress.port), path);
  print(output, report as Report, describe);
}

/** Prints a report as JSON or as the text of `describe`. */
export function print<Report>(
  output: OutputFlags['output'],
  report: Report,
  describe: (report: Report) => string,
): void {
  process.stdout.write(output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : describe(report));
}

async function ask(authority: string, path: string): Promise<unknown> {
  try {
    const response = await fetch(`http://${authority}${path}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (response.status === BAD_REQUEST) throw new UsageError(`--${(await response.text()).trimEnd()}`);
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    return await response.json();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new Error(
      `no kube-portal answers on ${authority} (${reasonOf(error)}); ` +
        'is it running on this node, with this --metrics-bind-address?',
    );
  }
}

/** fetch throws a TypeError for every failure. The real failure is its cause. */
function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: unknown };
  return cause instanceof Error ? cause.message : String(error);
}
