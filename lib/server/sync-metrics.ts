import { Counter, exponentialBuckets, Gauge, Histogram, linearBuckets, type Registry } from 'prom-client';
import type { ObjectChanges } from '../model/changes.js';

/** Seconds. These are kube-proxy's buckets, so that its dashboards and alerts can be used. */
const SYNC_BUCKETS = exponentialBuckets(0.001, 2, 15);
const PROGRAMMING_BUCKETS = [
  ...linearBuckets(0.25, 0.25, 2),
  ...linearBuckets(1, 1, 59),
  ...linearBuckets(60, 5, 12),
  ...linearBuckets(120, 30, 7),
];

/** A change that has taken effect. Times are milliseconds since the epoch. */
export interface Sync extends ObjectChanges {
  readonly startedMs: number;
  readonly finishedMs: number;
}

/** Metrics of how fast changes take effect. Names and meanings are kube-proxy's. */
export class SyncMetrics {
  readonly #duration;
  readonly #programming;
  readonly #last;
  readonly #queued;
  readonly #services;
  readonly #endpoints;
  readonly #startedMs = Date.now();

  constructor(registry: Registry) {
    const registers = [registry];
    this.#duration = new Histogram({
      name: 'kubeproxy_sync_proxy_rules_duration_seconds',
      help: 'Time from a change of Services or endpoints, as it was received, to its effect.',
      buckets: SYNC_BUCKETS,
      registers,
    });
    this.#programming = new Histogram({
      name: 'kubeproxy_network_programming_duration_seconds',
      help: 'Time from the change of a pod or Service in the cluster to its effect on this node.',
      buckets: PROGRAMMING_BUCKETS,
      registers,
    });
    this.#last = new Gauge({
      name: 'kubeproxy_sync_proxy_rules_last_timestamp_seconds',
      help: 'When a change last took effect.',
      registers,
    });
    this.#queued = new Gauge({
      name: 'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds',
      help: 'When a change was last received.',
      registers,
    });
    this.#services = new Counter({
      name: 'kubeproxy_sync_proxy_rules_service_changes_total',
      help: 'Changes of Services.',
      registers,
    });
    this.#endpoints = new Counter({
      name: 'kubeproxy_sync_proxy_rules_endpoint_changes_total',
      help: 'Changes of endpoint slices.',
      registers,
    });
  }

  /**
   * A change was received. Until it takes effect, the time of the last received change is later than the time
   * of the last effect.
   * @param atMs milliseconds since the epoch
   */
  received(atMs: number): void {
    this.#queued.set(atMs / 1000);
  }

  /** A change took effect. As in kube-proxy, `triggeredMs` before the start of this program do not count. */
  observe({ startedMs, finishedMs, services, slices, triggeredMs }: Sync): void {
    this.#duration.observe((finishedMs - startedMs) / 1000);
    this.#last.set(finishedMs / 1000);
    this.#services.inc(services);
    this.#endpoints.inc(slices);
    for (const time of triggeredMs) {
      if (time >= this.#startedMs) this.#programming.observe(Math.max(0, finishedMs - time) / 1000);
    }
  }
}
