import { readdirSync } from 'node:fs';
import { Counter, Gauge, type Registry } from 'prom-client';

const STARTED_AT_SECONDS = Date.now() / 1_000 - process.uptime();

/** What the process knows of itself beside its portals. */
export interface ProcessSource {
  /** Lines of the log that nobody took. */
  droppedLogLines(): number;
  /** TCP connections that are open although their Service port was removed. */
  connectionsOfRemoved(): number;
}

/**
 * The process metrics that every Prometheus client library has, read only when scraped. prom-client's own
 * collector is left out: it keeps event-loop and garbage-collector histograms running all the time.
 */
export function processMetrics(registry: Registry, source: ProcessSource): void {
  gauge(registry, 'process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss());
  gauge(registry, 'process_open_fds', 'Open file descriptors.', () => readdirSync('/proc/self/fd').length);
  gauge(
    registry,
    'process_start_time_seconds',
    'Start of the process since the epoch.',
    () => STARTED_AT_SECONDS,
  );
  counter(
    registry,
    'process_cpu_seconds_total',
    'User and system CPU time spent by all threads.',
    cpuSeconds,
  );
  counter(registry, 'kubeportal_log_lines_dropped_total', 'Lines of the log that nobody took.', () =>
    source.droppedLogLines(),
  );
  gauge(
    registry,
    'kubeportal_connections_of_removed_services',
    'TCP connections open now whose Service port was removed; they go on until they end.',
    () => source.connectionsOfRemoved(),
  );
}

function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  const metric = new Gauge({
    name,
    help,
    registers: [registry],
    collect(): void {
      metric.set(read());
    },
  });
}

function counter(registry: Registry, name: string, help: string, read: () => number): void {
  const metric = new Counter({
    name,
    help,
    registers: [registry],
    collect(): void {
      metric.reset();
      metric.inc(read());
    },
  });
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000_000;
}
