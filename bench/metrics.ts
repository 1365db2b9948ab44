import type { Host } from '../test/lab/host.js';

const URL = 'http://127.0.0.1:10249/metrics';
/** With many ports, the answer takes a while. */
const TIMEOUT_MS = 120_000;

/** What a proxy on this node exports in Prometheus' text format. Null: it does not answer. */
export async function metricsOf(node: Host): Promise<string | null> {
  const { code, stdout } = await node.exec('curl', ['--silent', '--fail', URL], { timeoutMs: TIMEOUT_MS });
  return code === 0 ? stdout : null;
}

/**
 * The value of a metric. Undefined: it has none yet. kube-proxy's has one for each IP family since 1.33; the
 * bench has Services with IPv4 only.
 */
export function sampleOf(metrics: string, name: string): number | undefined {
  const match = new RegExp(`^${name}(?:\\{ip_family="IPv4"\\})? (\\S+)$`, 'm').exec(metrics);
  return match === null ? undefined : Number(match[1]);
}
