import type { PortalCounters } from '../dataplane/shared/counters.js';
import { hostPort } from '../net/hostport.js';
import type { AffinityStatus, PortalStatus } from '../portal/status.js';
import { table } from './table.js';

/** Endpoints listed for a portal. The others are counted in one more line. */
const MAX_ENDPOINTS = 4;

/** As users write them in a Service: a value of `sessionAffinity` or of an annotation. */
const AFFINITY_NAMES: Readonly<Record<AffinityStatus['by'], string>> = {
  'client-ip': 'ClientIP',
  'rtps-participant': 'rtps-participant',
  'rtps-host': 'rtps-host',
};

interface Column {
  readonly title: string;
  readonly textOf: (portal: PortalStatus) => string;
}

const COLUMNS: readonly Column[] = [
  {
    title: 'SERVICE',
    textOf: ({ service, portName }) => (portName === '' ? service : `${service}:${portName}`),
  },
  {
    title: 'VIP:PORT',
    textOf: (portal) =>
      [...portal.vips.map(({ address, port }) => hostPort(address, port)), ...nodePortText(portal)].join(
        '\n',
      ),
  },
  { title: 'PROTOCOL', textOf: ({ protocol }) => protocol },
  { title: 'ENDPOINTS', textOf: ({ endpoints }) => endpointsText(endpoints) },
  { title: 'AFFINITY', textOf: (portal) => policyLines(portal).join('\n') },
];
const CARRIER: Column = { title: 'CARRIER', textOf: ({ carrier }) => carrier };
const STATE: Column = { title: 'STATE', textOf: ({ state, problems }) => [state, ...problems].join('\n') };

/**
 * The portals of a node as a table, sorted by key. With `counters`, the column OPEN has each portal's number
 * of open connections and flows. There is no column CARRIER if all portals are relayed.
 */
export function portalTable(unsorted: readonly PortalStatus[], counters?: readonly PortalCounters[]): string {
  const portals = unsorted.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const isCarried = portals.some(({ carrier }) => carrier === 'kernel');
  const columns = [...COLUMNS, ...(isCarried ? [CARRIER] : []), STATE, ...openColumn(counters)];
  return table(
    columns.map(({ title }) => title),
    portals.map((portal) => columns.map(({ textOf }) => textOf(portal))),
  );
}

function openColumn(counters: readonly PortalCounters[] | undefined): Column[] {
  if (counters === undefined) return [];
  const open = new Map(
    counters.map((counter) => [
      counter.key,
      counter.connectionsActive +
        counter.flowsActive +
        counter.carriedConnectionsActive +
        counter.carriedFlowsActive,
    ]),
  );
  return [{ title: 'OPEN', textOf: ({ key }) => String(open.get(key) ?? 0) }];
}

function policyLines({ affinity, rtpsRouting, activeStandby }: PortalStatus): string[] {
  return [
    affinity === null ? 'none' : `${AFFINITY_NAMES[affinity.by]} ${affinity.timeoutSeconds}s`,
    ...(rtpsRouting === null ? [] : [`RTPS: ${rtpsRouting}`]),
    ...(activeStandby ? ['active-standby'] : []),
  ];
}

function nodePortText({ nodePort }: PortalStatus): string[] {
  return nodePort === null ? [] : [`node:${nodePort}`];
}

function endpointsText(endpoints: readonly string[]): string {
  if (endpoints.length === 0) return '<none>';
  const shown = endpoints.slice(0, MAX_ENDPOINTS).join('\n');
  const more = endpoints.length - MAX_ENDPOINTS;
  return more > 0 ? `${shown}\n+ ${more} more` : shown;
}
