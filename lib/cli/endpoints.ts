import { Command } from 'commander';
import type { EndpointsReport } from '../admin/endpoints.js';
import type { EndpointFailure, EndpointStatus } from '../dataplane/shared/endpoints.js';
import { print } from './ask.js';
import { type AdminFlags, adminOptions, askRunning } from './ask-admin.js';
import { durationText } from './duration-text.js';
import { compareCells, table } from './table.js';

const TITLES = [
  ...['PORTAL', 'ENDPOINT', 'STATE', 'SHARE', 'OPEN', 'TOTAL'],
  ...['FAILURES', 'MOVED', 'BYTES-IN', 'BYTES-OUT', 'LAST-FAILURE'],
];

/** `kube-portal endpoints`: what each endpoint has had. */
export function endpointsCommand(): Command {
  const command = new Command('endpoints')
    .description(
      'Show what each endpoint of each Service port has had: connections, flows, failures, bytes. Only root may.',
    )
    .argument('[service]', 'namespace/name: only endpoints of this Service')
    .action(list);
  for (const option of adminOptions()) command.addOption(option);
  return command;
}

async function list(service: string | undefined, flags: AdminFlags): Promise<void> {
  const query = new URLSearchParams(service === undefined ? {} : { service });
  print(flags.output, await askRunning<EndpointsReport>(flags, `/v1/endpoints?${query}`), endpointsText);
}

/** A table, by portal and endpoint. */
export function endpointsText({ endpoints }: EndpointsReport): string {
  if (endpoints.length === 0) return 'no Service has an endpoint\n';
  const totals = new Map<string, number>();
  for (const { key, total } of endpoints) totals.set(key, (totals.get(key) ?? 0) + total);
  const sorted = endpoints.toSorted(
    (a, b) => compareCells(a.key, b.key) || compareCells(a.endpoint, b.endpoint),
  );
  return table(
    TITLES,
    sorted.map((status) => rowOf(status, totals.get(status.key) ?? 0)),
  );
}

function rowOf(status: EndpointStatus, totalOfPortal: number): string[] {
  const { key, endpoint, state, total, active, carriedActive } = status;
  const { failures, moved, bytesIn, bytesOut, lastFailure } = status;
  const share = totalOfPortal === 0 ? '-' : `${((total / totalOfPortal) * 100).toFixed(1)}%`;
  const numbers = [active + carriedActive, total, failures, moved, bytesIn, bytesOut].map(String);
  return [key, endpoint, state, share, ...numbers, failureText(lastFailure)];
}

function failureText(failure: EndpointFailure | null): string {
  return failure === null ? '-' : `${failure.reason}, ${durationText(failure.agoMs)} ago`;
}
