import { readdirSync } from 'node:fs';
import { Counter, Gauge, type Registry } from 'prom-client';

const STARTED_AT_SECONDS = Date.now() / 1_000 - process.uptime();

/** Counts of the process that belong to no portal. */
export interface ProcessSource {
  /** Log lines that were dropped because nothing read standard output. */
  droppedLogLines(): number;
  /** TCP connections that are open although their Service port was removed. */
  connectionsOfRemoved(): number;
}

/**
 * Registers the process metrics that every Prometheus client library has. They are read only at a scrape.
 * prom-client's own collector is not used, because it keeps histograms of the event loop and the garbage
 * collector running all the time.
 */
export function processMetrics(registry: Registry, source: ProcessSource): void {
  gauge(registry, 'process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss());
  gauge(registry, 'process_open_fds', 'Open file descriptors.', () => readdirSync('/proc/self/fd').length);
  gauge(
    registry,
    'process_start_time_seconds',
    'Start time of the process, in seconds since the epoch.',
    () => STARTED_AT_SECONDS,
  );
  counter(registry, 'process_cpu_seconds_total', 'User and system CPU time of all threads.', cpuSeconds);
  counter(
    registry,
    'kubeportal_log_lines_dropped_total',
    'Log lines dropped because nothing read standard output.',
    () => source.droppedLogLines(),
  );
  gauge(
    registry,
    'kubeportal_connections_of_removed_services',
    'TCP connections open now whose Service port was removed. They stay open until a side closes them.',
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
