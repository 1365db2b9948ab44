import { Registry } from 'prom-client';
import t from 'tap';
import { SyncMetrics } from '../../lib/server/sync-metrics.js';

async function sampleOf(registry: Registry, name: string): Promise<number | undefined> {
  const metrics = await registry.getMetricsAsJSON();
  const values = metrics.flatMap((metric) => metric.values as { value: number; metricName?: string }[]);
  const named = values.find(({ metricName }) => metricName === name);
  return named?.value ?? (await registry.getSingleMetric(name)?.get())?.values[0]?.value;
}

t.test("a change gives kube-proxy's metrics", async (t) => {
  const registry = new Registry();
  const metrics = new SyncMetrics(registry);
  const startedMs = Date.now() + 1000;
  metrics.received(startedMs);
  const sync = { services: 2, slices: 3, startedMs, finishedMs: startedMs + 500 };
  metrics.observe({ ...sync, triggeredMs: [startedMs - 500, startedMs - 400] });
  metrics.observe({ ...sync, triggeredMs: [Date.now() - 3_600_000] });
  const prefix = 'kubeproxy_sync_proxy_rules';
  t.equal(await sampleOf(registry, `${prefix}_duration_seconds_count`), 2);
  t.equal(await sampleOf(registry, `${prefix}_duration_seconds_sum`), 1);
  t.equal(await sampleOf(registry, `${prefix}_service_changes_total`), 4);
  t.equal(await sampleOf(registry, `${prefix}_endpoint_changes_total`), 6);
  t.equal(await sampleOf(registry, `${prefix}_last_queued_timestamp_seconds`), startedMs / 1000);
  t.equal(await sampleOf(registry, `${prefix}_last_timestamp_seconds`), (startedMs + 500) / 1000);
  t.equal(
    await sampleOf(registry, 'kubeproxy_network_programming_duration_seconds_count'),
    2,
    'what happened before the start does not count',
  );
});
