import {
  addCounters,
  COUNTER_FIELDS,
  type CounterField,
  type PortalCounters,
} from '../dataplane/shared/counters.js';
import { labelsText, portalLabels } from './labels.js';

interface PortalMetric {
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge';
  readonly field: CounterField;
  readonly protocol?: 'TCP' | 'UDP';
}

const PORTAL_METRICS: readonly PortalMetric[] = [
  {
    name: 'kubeportal_connections_total',
    help: 'TCP connections of clients, relayed or handed over to the kernel.',
    kind: 'counter',
    field: 'connectionsTotal',
    protocol: 'TCP',
  },
  {
    name: 'kubeportal_connections_active',
    help: 'TCP connections relayed now.',
    kind: 'gauge',
    field: 'connectionsActive',
    protocol: 'TCP',
  },
  {
    name: 'kubeportal_carried_connections_active',
    help: 'TCP connections in the kernel that it carries, also those that ended within the last two minutes.',
    kind: 'gauge',
    field: 'carriedConnectionsActive',
    protocol: 'TCP',
  },
  {
    name: 'kubeportal_connections_refused_total',
    help: 'TCP connections that were not served: no endpoint answered, or the client may not use this port.',
    kind: 'counter',
    field: 'connectionsRefused',
    protocol: 'TCP',
  },
  {
    name: 'kubeportal_connections_evicted_total',
    help: 'Idle TCP connections closed near the limit of open files, so that other clients are served.',
    kind: 'counter',
    field: 'connectionsEvicted',
    protocol: 'TCP',
  },
  {
    name: 'kubeportal_connection_resets_total',
    help: 'TCP connections that ended with a reset on either side.',
    kind: 'counter',
    field: 'connectionResets',
    protocol: 'TCP',
  },
  {
    name: 'kubeportal_connect_failures_total',
    help: 'Attempts to reach an endpoint that failed or timed out.',
    kind: 'counter',
    field: 'connectFailures',
  },
  {
    name: 'kubeportal_flows_total',
    help: 'UDP flows seen, one per client address and port.',
    kind: 'counter',
    field: 'flowsTotal',
    protocol: 'UDP',
  },
  {
    name: 'kubeportal_flows_active',
    help: 'UDP flows relayed now.',
    kind: 'gauge',
    field: 'flowsActive',
    protocol: 'UDP',
  },
  {
    name: 'kubeportal_carried_flows_active',
    help: 'UDP flows that the kernel carries now.',
    kind: 'gauge',
    field: 'carriedFlowsActive',
    protocol: 'UDP',
  },
  {
    name: 'kubeportal_flows_evicted_total',
    help: 'UDP flows forgotten early to make room for newer ones.',
    kind: 'counter',
    field: 'flowsEvicted',
    protocol: 'UDP',
  },
  {
    name: 'kubeportal_flows_moved_total',
    help: 'UDP flows moved to another endpoint because their endpoint failed or was removed.',
    kind: 'counter',
    field: 'flowsMoved',
    protocol: 'UDP',
  },
  {
    name: 'kubeportal_datagrams_received_total',
    help: 'UDP datagrams received from clients.',
    kind: 'counter',
    field: 'datagramsIn',
    protocol: 'UDP',
  },
  {
    name: 'kubeportal_datagrams_sent_total',
    help: 'UDP datagrams sent to clients.',
    kind: 'counter',
    field: 'datagramsOut',
    protocol: 'UDP',
  },
  {
    name: 'kubeportal_datagrams_dropped_total',
    help: 'UDP datagrams that could not be passed on.',
    kind: 'counter',
    field: 'datagramsDropped',
    protocol: 'UDP',
  },
  {
    name: 'kubeportal_received_bytes_total',
    help: 'Payload bytes received from clients.',
    kind: 'counter',
    field: 'bytesIn',
  },
  {
    name: 'kubeportal_sent_bytes_total',
    help: 'Payload bytes sent to clients.',
    kind: 'counter',
    field: 'bytesOut',
  },
  {
    name: 'kubeportal_affinity_pins_moved_total',
    help: 'ClientIP pins removed because their endpoint failed.',
    kind: 'counter',
    field: 'pinsMoved',
  },
  {
    name: 'kubeportal_rtps_copies_total',
    help: 'UDP datagrams sent to endpoints by rtps-routing follow or fan-out. A datagram counts for each endpoint.',
    kind: 'counter',
    field: 'copiesSent',
    protocol: 'UDP',
  },
  {
    name: 'kubeportal_rtps_copies_refused_total',
    help: 'UDP datagrams of rtps-routing that were not sent to an endpoint because of the limit --rtps-copies.',
    kind: 'counter',
    field: 'copiesRefused',
    protocol: 'UDP',
  },
];

/**
 * The counters of all portals in the text format of Prometheus, in small pieces. prom-client is not used: it
 * makes several objects for each series, and every used portal has about ten series.
 *
 * A portal without traffic has no series. A node has all portals of the cluster and uses few of them. With
 * all series, Prometheus would keep about a million idle ones for a dozen nodes. A used portal has every
 * series from its first use on, because `rate()` does not see the step from no series to a first value.
 *
 * @param counters are read while the pieces are taken. The workers change them in shared memory.
 */
export function* portalMetricsText(counters: Iterable<PortalCounters>): Iterable<string> {
  const used = new Map<string, PortalCounters>();
  // During the iteration, another portal may get a key that was read already.
  const keys = new Set<string>();
  for (const portal of counters) {
    if (hasTraffic(portal) && !keys.has(portal.key)) addTo(used, portal);
    keys.add(portal.key);
    yield '';
  }
  for (const { name, help, kind, field, protocol } of PORTAL_METRICS) {
    yield `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`;
    for (const [labels, portal] of used) {
      if (protocol === undefined || protocol === portal.protocol) yield `${name}${labels} ${portal[field]}\n`;
    }
    yield '\n';
  }
}

/** A Service port has several portals with the same labels if not all of its VIPs have the same endpoints. */
function addTo(used: Map<string, PortalCounters>, portal: PortalCounters): void {
  const labels = labelsText(portalLabels(portal));
  const known = used.get(labels);
  used.set(labels, known === undefined ? portal : { ...portal, ...addCounters(known, portal) });
}

function hasTraffic(counters: PortalCounters): boolean {
  return COUNTER_FIELDS.some((field) => counters[field] !== 0);
}
