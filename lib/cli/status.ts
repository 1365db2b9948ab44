import { Command, Option } from 'commander';
import { hostPort } from '../net/hostport.js';
import type { StatusReport } from '../server/metrics.js';
import { type BindTarget, parseBindTarget } from './parse.js';
import { portalTable } from './portal-table.js';
import { UsageError } from './usage-error.js';

interface StatusFlags {
  readonly output: 'table' | 'json';
  readonly metricsBindAddress: BindTarget;
}

const TIMEOUT_MS = 5_000;

/** `kube-portal status`: what the kube-portal of this node serves right now. */
export function statusCommand(): Command {
  return new Command('status')
    .description('Show the Services that the kube-portal of this node serves, and how they are.')
    .addOption(
      new Option('-o, --output <format>', 'how to print it').choices(['table', 'json']).default('table'),
    )
    .addOption(
      new Option('--metrics-bind-address <address:port>', 'the same that run was given')
        .argParser(parseBindTarget)
        .default({ host: '127.0.0.1', port: 10_249 }, '127.0.0.1:10249'),
    )
    .action(printStatus);
}

async function printStatus({ output, metricsBindAddress }: StatusFlags): Promise<void> {
  if (metricsBindAddress === 'off')
    throw new UsageError('--metrics-bind-address: status needs an address to ask');
  const report = await fetchStatus(metricsBindAddress);
  process.stdout.write(output === 'json' ? `${JSON.stringify(report, null, 2)}\n` : describe(report));
}

async function fetchStatus({ host, port }: Exclude<BindTarget, 'off'>): Promise<StatusReport> {
  const authority = hostPort(host, port);
  try {
    const response = await fetch(`http://${authority}/status`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    return (await response.json()) as StatusReport;
  } catch (error) {
    throw new Error(
      `no kube-portal answers on ${authority} (${reasonOf(error)}); ` +
        'is it running on this node, with this --metrics-bind-address?',
    );
  }
}

function describe(report: StatusReport): string {
  const heading = `redirect: ${report.driver}, workers: ${report.workers}, service ports: ${report.portals.length}\n`;
  const problems = report.problems.map((problem) => `problem: ${problem}\n`).join('');
  return `${heading}${problems}\n${portalTable(report.portals, report.counters)}`;
}

/** fetch hides what went wrong in the cause of a TypeError. */
function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: unknown };
  return cause instanceof Error ? cause.message : String(error);
}
