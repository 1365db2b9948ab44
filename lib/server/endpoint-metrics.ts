import {
  addEndpointCounters,
  type EndpointCounters,
  type EndpointStatus,
} from '../dataplane/shared/endpoints.js';
import { labelsText, portalLabels } from './labels.js';

interface EndpointMetric {
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge';
  readonly field: keyof EndpointCounters;
  readonly protocol?: 'TCP' | 'UDP';
}

const ENDPOINT_METRICS: readonly EndpointMetric[] = [
  {
    name: 'kubeportal_endpoint_connections_total',
    help: 'TCP connections that were given to an endpoint, relayed or handed over to the kernel.',
    kind: 'counter',
    field: 'total',
    protocol: 'TCP',
  },
  {
    name: 'kubeportal_endpoint_connections_active',
    help: 'TCP connections to an endpoint that are relayed now.',
    kind: 'gauge',
    field: 'active',
    protocol: 'TCP',
  },
  {
    name: 'kubeportal_endpoint_carried_connections_active',
    help: 'TCP connections to an endpoint that the kernel carries, also those that ended within the last two minutes.',
    kind: 'gauge',
    field: 'carriedActive',
    protocol: 'TCP',
  },
  {
    name: 'kubeportal_endpoint_flows_total',
    help: 'UDP flows that were given to an endpoint.',
    kind: 'counter',
    field: 'total',
    protocol: 'UDP',
  },
  {
    name: 'kubeportal_endpoint_flows_active',
    help: 'UDP flows to an endpoint that are relayed now.',
    kind: 'gauge',
    field: 'active',
    protocol: 'UDP',
  },
  {
    name: 'kubeportal_endpoint_carried_flows_active',
    help: 'UDP flows to an endpoint that the kernel carries now.',
    kind: 'gauge',
    field: 'carriedActive',
    protocol: 'UDP',
  },
  {
    name: 'kubeportal_endpoint_connect_failures_total',
    help: 'Attempts to reach an endpoint that failed or timed out.',
    kind: 'counter',
    field: 'failures',
  },
  {
    name: 'kubeportal_endpoint_moved_total',
    help: 'TCP connections and UDP flows that were given to another endpoint instead, because this one had failed.',
    kind: 'counter',
    field: 'moved',
  },
  {
    name: 'kubeportal_endpoint_datagrams_received_total',
    help: 'UDP datagrams of clients for an endpoint.',
    kind: 'counter',
    field: 'datagramsIn',
    protocol: 'UDP',
  },
  {
    name: 'kubeportal_endpoint_datagrams_sent_total',
    help: 'UDP datagrams that an endpoint has sent to clients.',
    kind: 'counter',
    field: 'datagramsOut',
    protocol: 'UDP',
  },
  {
    name: 'kubeportal_endpoint_received_bytes_total',
    help: 'Payload bytes of clients for an endpoint.',
    kind: 'counter',
    field: 'bytesIn',
  },
  {
    name: 'kubeportal_endpoint_sent_bytes_total',
    help: 'Payload bytes that an endpoint has sent to clients.',
    kind: 'counter',
    field: 'bytesOut',
  },
];

/** The counters of one endpoint of one Service port. */
interface Series extends EndpointCounters {
  readonly protocol: 'TCP' | 'UDP';
}

/**
 * The counters of endpoints in the text format of Prometheus, in small pieces. The text has all series of one
 * metric together, so all endpoints are read first.
 *
 * @param pages endpoints that were used
 */
export async function endpointMetricsText(
  pages: AsyncIterable<readonly EndpointStatus[]>,
): Promise<Iterable<string>> {
  const used = new Map<string, Series>();
  for await (const page of pages) {
    for (const status of page) {
      const labels = labelsText({ ...portalLabels(status), endpoint: status.endpoint });
      const known = used.get(labels);
      // An endpoint of two portals with the same labels: one for VIPs of the cluster, one for others.
      used.set(labels, known === undefined ? status : { ...known, ...addEndpointCounters(known, status) });
    }
  }
  return textOf(used);
}

function* textOf(used: ReadonlyMap<string, Series>): Iterable<string> {
  for (const { name, help, kind, field, protocol } of ENDPOINT_METRICS) {
    yield `\n# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`;
    for (const [labels, series] of used) {
      if (protocol === undefined || protocol === series.protocol) yield `${name}${labels} ${series[field]}\n`;
    }
  }
}
