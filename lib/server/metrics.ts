import { Gauge, Registry } from 'prom-client';
import type { PortalCounters } from '../dataplane/shared/counters.js';
import type { EndpointStatus } from '../dataplane/shared/endpoints.js';
import type { PinCounts } from '../dataplane/shared/pins.js';
import type { PortalStatus, ProxyStatus } from '../portal/status.js';
import { type HttpAnswer, json, jsonText, text } from './answer.js';
import { endpointMetricsText } from './endpoint-metrics.js';
import { pinMetricsText } from './pin-metrics.js';
import { portalMetricsText } from './portal-metrics.js';
import { type ProcessSource, processMetrics } from './process-metrics.js';
import type { Routes } from './route.js';

/** The state that the metrics server reads when a request comes. */
export interface MetricsSource extends ProcessSource {
  summary(): Omit<ProxyStatus, 'portals'>;
  /** Reads a portal's status when the iteration reaches it. A portal removed before that is left out. */
  portals(): Iterable<PortalStatus>;
  /** The state of each portal, without the rest of its status. */
  states(): readonly Pick<PortalStatus, 'state' | 'carrier'>[];
  /** Reads counters lazily, as {@link portals} does. */
  counters(): Iterable<PortalCounters>;
  /** The endpoints that were used; null without `--endpoint-metrics`. */
  readonly endpoints: (() => AsyncIterable<readonly EndpointStatus[]>) | null;
  readonly pins: PinCounts;
  /** See `--max-pins`. */
  readonly maxPins: number;
  /** The configuration in force, as kube-proxy's KubeProxyConfiguration. */
  configuration(): object;
}

/**
 * `/metrics` for Prometheus, `/status` for `kube-portal status`, and the paths that kube-proxy serves.
 *
 * @param registry may already contain other metrics
 */
export function metricsRoutes(source: MetricsSource, registry = new Registry()): Routes {
  registerPortalCounts(registry, source);
  processMetrics(registry, source);
  return {
    '/metrics': async () => {
      const endpoints = source.endpoints === null ? [] : await endpointMetricsText(source.endpoints());
      const others = await registry.metrics();
      return {
        ...text(metricsText(source, endpoints, others)),
        contentType: registry.contentType,
      } satisfies HttpAnswer;
    },
    '/status': () => jsonText(statusText(source)),
    '/proxyMode': () => text('userspace'),
    '/configz': () => json({ 'kubeproxy.config.k8s.io': source.configuration() }),
    '/healthz': () => text('ok'),
  };
}

function* metricsText(source: MetricsSource, endpoints: Iterable<string>, others: string): Iterable<string> {
  yield* portalMetricsText(source.counters());
  yield* endpoints;
  yield* pinMetricsText(source.pins, source.maxPins);
  yield others;
}

/** The answer of `/status`. */
export interface StatusReport extends ProxyStatus {
  readonly counters: readonly PortalCounters[];
}

/** A {@link StatusReport} in small pieces. */
function* statusText(source: MetricsSource): Iterable<string> {
  yield JSON.stringify(source.summary()).slice(0, -1);
  yield* listText('portals', source.portals());
  yield* listText('counters', source.counters());
  yield '}\n';
}

function* listText(name: keyof StatusReport, members: Iterable<unknown>): Iterable<string> {
  yield `,"${name}":[`;
  let separator = '';
  for (const member of members) {
    yield separator + JSON.stringify(member);
    separator = ',';
  }
  yield ']';
}

const STATES: readonly PortalStatus['state'][] = [
  'serving',
  'pending',
  'taken',
  'no-endpoints',
  'unsupported',
];

const CARRIERS: readonly PortalStatus['carrier'][] = ['kernel', 'relay'];

function registerPortalCounts(registry: Registry, source: MetricsSource): void {
  const registers = [registry];
  new Gauge({
    name: 'kubeportal_portals',
    help: 'Service ports by state.',
    labelNames: ['state'] as const,
    registers,
    collect() {
      const states = source.states().map(({ state }) => state);
      for (const [state, count] of counted(STATES, states)) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'kubeportal_portals_by_carrier',
    help: 'Service ports by what may carry their traffic: the kernel, or only the relay.',
    labelNames: ['carrier'] as const,
    registers,
    collect() {
      const carriers = source.states().map(({ carrier }) => carrier);
      for (const [carrier, count] of counted(CARRIERS, carriers)) this.set({ carrier }, count);
    },
  });
}

/** How often each of these values occurs. */
function counted<T>(values: readonly T[], occurring: readonly T[]): Map<T, number> {
  const counts = new Map(values.map((value) => [value, 0]));
  for (const value of occurring) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
