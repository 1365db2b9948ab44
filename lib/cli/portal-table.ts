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

/**
 * The portals of a node as a table, sorted by key. With `counters`, the column OPEN has each portal's number
 * of open connections and flows.
 */
export function portalTable(unsorted: readonly PortalStatus[], counters?: readonly PortalCounters[]): string {
  const portals = unsorted.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const titles = ['SERVICE', 'VIP:PORT', 'PROTOCOL', 'ENDPOINTS', 'AFFINITY', 'STATE'];
  const rowOf = (portal: PortalStatus) => [
    portal.portName === '' ? portal.service : `${portal.service}:${portal.portName}`,
    [...portal.vips.map(({ address, port }) => hostPort(address, port)), ...nodePortText(portal)].join('\n'),
    portal.protocol,
    endpointsText(portal.endpoints),
    policyLines(portal).join('\n'),
    [portal.state, ...portal.problems].join('\n'),
  ];
  if (counters === undefined) return table(titles, portals.map(rowOf));
  const open = new Map(
    counters.map((counter) => [counter.key, counter.connectionsActive + counter.flowsActive]),
  );
  return table(
    [...titles, 'OPEN'],
    portals.map((portal) => [...rowOf(portal), String(open.get(portal.key) ?? 0)]),
  );
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
