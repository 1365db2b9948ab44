import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';

/** Where and when something was measured, in one line. */
export function machine(): string {
  const model = cpus()[0]?.model ?? process.arch;
  const date = new Date().toISOString().slice(0, 10);
  const tcp = `TCP with ${congestionControl()}`;
  return `${availableParallelism()} cores of ${model}, Linux ${release()}, Node.js ${process.version}, ${tcp}, ${date}`;
}

/**
 * The congestion control that everybody is measured with: cubic, Linux's own default, or reno where namespaces may not have
 * it. A machine's default may be one that paces by timers (bbr), and then the bench would measure the timers: between two
 * pods of one node they cost every contender more than half of its bulk rate.
 */
export function congestionControl(): string {
  const allowed = readFileSync('/proc/sys/net/ipv4/tcp_allowed_congestion_control', 'utf8');
  return allowed.split(/\s+/).includes('cubic') ? 'cubic' : 'reno';
}
