import { Command } from 'commander';
import type { StatusReport } from '../server/metrics.js';
import { type AskFlags, askOptions, printReport } from './ask.js';
import { portalTable } from './portal-table.js';

/** `kube-portal status`: the Services that the kube-portal of this node serves now. */
export function statusCommand(): Command {
  const command = new Command('status')
    .description('Show the Services that are served on this node, and their state.')
    .action((flags: AskFlags) => printReport<StatusReport>(flags, '/status', describe));
  for (const option of askOptions()) command.addOption(option);
  return command;
}

function describe(report: StatusReport): string {
  const { driver, fallbacks, workers, carrier, carrierLimits, problems, portals, counters } = report;
  const heading = `redirect: ${driver}, carrier: ${carrier}, workers: ${workers}, service ports: ${portals.length}\n`;
  const fallbackLines = fallbacks.map((fallback) => `redirect: ${fallback}\n`).join('');
  const limitLines = carrierLimits.map((limit) => `carrier: ${limit}\n`).join('');
  const problemLines = problems.map((problem) => `problem: ${problem}\n`).join('');
  return `${heading}${fallbackLines}${limitLines}${problemLines}\n${portalTable(portals, counters)}`;
}
