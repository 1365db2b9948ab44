import { Counter, Gauge, Registry } from 'prom-client';
import type { PortalCounters, PortalStatus, ProxyStatus } from '../controlplane/status.js';
import { COUNTER_FIELDS, type CounterField } from '../dataplane/counters.js';
import { type Answer, json, type Routes, text } from './http.js';
import { processMetrics } from './process-metrics.js';

/** What the metrics server reads, at the moment of a request. */
export interface MetricsSource {
  status(): ProxyStatus;
  /** How each portal is, without the rest of its status. */
  states(): readonly Pick<PortalStatus, 'state'>[];
  counters(): readonly PortalCounters[];
  /** Lines of the log that nobody took. */
  droppedLogLines(): number;
  /** The configuration in force, in kube-proxy's words. */
  configuration(): object;
}

/**
 * `/metrics` for Prometheus, `/status` for `kube-portal status`, and the paths that kube-proxy has on this port.
 *
 * @param registry may hold more metrics already
 */
export function metricsRoutes(source: MetricsSource, registry = new Registry()): Routes {
  const scrape: Scrape = { used: [] };
  for (const metric of PORTAL_METRICS) registerPortalMetric(registry, metric, scrape);
  registerPortalStates(registry, source);
  processMetrics(registry, source);
  return {
    '/metrics': async () => {
      scrape.used = source.counters().filter(isUsed);
      return { ...text(await registry.metrics()), contentType: registry.contentType } satisfies Answer;
    },
    '/status': () => json(statusReport(source)),
    '/proxyMode': () => text('userspace'),
    '/configz': () => json({ 'kubeproxy.config.k8s.io': source.configuration() }),
    '/healthz': () => text('ok'),
  };
}

/** What `/status` answers. */
export interface StatusReport extends ProxyStatus {
  readonly counters: readonly PortalCounters[];
}

function statusReport(source: MetricsSource): StatusReport {
  return { ...source.status(), counters: source.counters() };
}

/** What a scrape shows, read once for all metrics: the true counts live in memory shared with the workers. */
interface Scrape {
  /**
   * Portals that somebody has come to; the others have no series, as is usual for metrics with labels. A node has all portals of
   * its cluster and uses few of them: Prometheus would have to keep a million idle series for each dozen of nodes.
   */
  used: readonly PortalCounters[];
}

function isUsed(counters: PortalCounters): boolean {
  return COUNTER_FIELDS.some((field) => counters[field] !== 0);
}

interface PortalMetric {
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge';
  readonly field: CounterField;
  readonly protocol?: 'TCP' | 'UDP';
}

const LABELS = ['namespace', 'service', 'port', 'protocol', 'family'] as const;

const PORTAL_METRICS: readonly PortalMetric[] = [
  {
    name: 'kubeportal_connections_total',
    help: 'TCP connections accepted from clients.',
    kind: 'counter',
    field: 'connectionsTotal',
    protocol: 'TCP',
  },
  {
    name: 'kubeportal_connections_active',
    help: 'TCP connections open now.',
    kind: 'gauge',
    field: 'connectionsActive',
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
    help: 'Idle TCP connections of a client with the most of all, ended so that others are served near the limit of open files.',
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
    help: 'UDP flows remembered now.',
    kind: 'gauge',
    field: 'flowsActive',
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
    help: 'UDP flows moved to another endpoint because theirs failed or went.',
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
    help: 'ClientIP pins moved because their endpoint failed or went.',
    kind: 'counter',
    field: 'pinsMoved',
  },
];

/** Filled anew for each scrape, so that portals that are gone leave no series behind. */
function registerPortalMetric(registry: Registry, metric: PortalMetric, scrape: Scrape): void {
  const { name, help } = metric;
  const Metric = metric.kind === 'counter' ? Counter : Gauge;
  const series = new Metric({
    name,
    help,
    labelNames: LABELS,
    registers: [registry],
    collect() {
      series.reset();
      for (const portal of scrape.used) {
        if (metric.protocol === undefined || metric.protocol === portal.protocol) {
          series.inc(labelsOf(portal), portal[metric.field]);
        }
      }
    },
  });
}

function labelsOf(portal: PortalCounters): Record<(typeof LABELS)[number], string> {
  const [namespace = '', service = ''] = portal.service.split('/', 2);
  return { namespace, service, port: portal.portName, protocol: portal.protocol, family: portal.family };
}

const STATES: readonly PortalStatus['state'][] = [
  'serving',
  'pending',
  'taken',
  'no-endpoints',
  'unsupported',
];

function registerPortalStates(registry: Registry, source: MetricsSource): void {
  const gauge = new Gauge({
    name: 'kubeportal_portals',
    help: 'Service ports by state.',
    labelNames: ['state'] as const,
    registers: [registry],
    collect() {
      for (const state of STATES) gauge.set({ state }, 0);
      for (const { state } of source.states()) gauge.inc({ state });
    },
  });
}
