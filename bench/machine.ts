import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';

/** The machine and the date of the measurement, in one line. */
export function describeMachine(): string {
  const model = cpus()[0]?.model ?? process.arch;
  const date = new Date().toISOString().slice(0, 10);
  const tcp = `TCP with ${congestionControl()}`;
  return `${availableParallelism()} cores of ${model}, Linux ${release()}, Node.js ${process.version}, ${tcp}, ${date}`;
}

/**
 * The congestion control of all measurements: cubic, which is Linux's default, or reno if namespaces may not
 * use cubic. The default of the machine may be bbr, which paces by timers. Between two pods of one node, the
 * timers cost every contender more than half of its bulk rate.
 */
export function congestionControl(): string {
  const allowed = readFileSync('/proc/sys/net/ipv4/tcp_allowed_congestion_control', 'utf8');
  return allowed.split(/\s+/).includes('cubic') ? 'cubic' : 'reno';
}
