import { Command } from 'commander';
import type { EndpointLoad, Session } from '../dataplane/shared/sessions.js';
import type { SessionsReport } from '../server/sessions.js';
import { type AskFlags, askOptions, printReport } from './ask.js';
import { table } from './table.js';

const NO_ENDPOINT = '<none yet>';
const NO_PORTAL = '<removed>';
const UNKNOWN = '-';
const TITLES = ['PORTAL', 'CLIENT', 'ENDPOINT', 'CARRIER', 'STATE', 'IDLE', 'BYTES-IN', 'BYTES-OUT'];

interface SessionsFlags extends AskFlags {
  readonly service?: string;
  readonly client?: string;
  readonly limit?: string;
}

/** `kube-portal sessions`: the open connections and flows, each with its client and endpoint. */
export function sessionsCommand(): Command {
  const command = new Command('sessions')
    .description('Show open TCP connections and UDP flows, with client and endpoint.')
    .option('--service <namespace/name>', 'only sessions of this Service')
    .option('--client <address>', 'only sessions of this client')
    .option('--limit <number>', 'how many sessions to list, at most 100000; all are counted (default: 1000)')
    .action((flags: SessionsFlags) => printReport<SessionsReport>(flags, pathOf(flags), sessionsText));
  for (const option of askOptions()) command.addOption(option);
  return command;
}

function pathOf({ service, client, limit }: SessionsFlags): string {
  const given = Object.entries({ service, client, limit }).filter(([, value]) => value !== undefined);
  return `/sessions?${new URLSearchParams(Object.fromEntries(given) as Record<string, string>)}`;
}

/** A table of the number of sessions per endpoint, then a table of the listed sessions. */
export function sessionsText({ sessions, endpoints, total }: SessionsReport): string {
  if (total === 0) return 'no session is open\n';
  const parts = [table(['PORTAL', 'ENDPOINT', 'SESSIONS'], endpoints.toSorted(byPortalAndLoad).map(loadRow))];
  if (sessions.length > 0) parts.push(table(TITLES, sessions.map(sessionRow)));
  const unlisted = total - sessions.length;
  if (unlisted > 0) parts.push(`${unlisted} more are open; --limit lists more\n`);
  return parts.join('\n');
}

function byPortalAndLoad(a: EndpointLoad, b: EndpointLoad): number {
  const [first, second] = [a.portal ?? NO_PORTAL, b.portal ?? NO_PORTAL];
  return first < second ? -1 : first > second ? 1 : b.sessions - a.sessions;
}

function loadRow({ portal, endpoint, sessions }: EndpointLoad): string[] {
  return [portal ?? NO_PORTAL, endpoint ?? NO_ENDPOINT, String(sessions)];
}

function sessionRow({
  portal,
  client,
  endpoint,
  carrier,
  state,
  idleMs,
  bytesIn,
  bytesOut,
}: Session): string[] {
  const idle = idleMs === null ? UNKNOWN : `${(idleMs / 1000).toFixed(1)}s`;
  const bytes = [bytesIn, bytesOut].map((count) => String(count ?? UNKNOWN));
  return [portal ?? NO_PORTAL, client, endpoint ?? NO_ENDPOINT, carrier, state, idle, ...bytes];
}
