import type { Protocol } from '../../lib/model/portal.js';
import { cpuOf } from '../cpu.js';
import { SERVER_PORTS, type Work } from '../load/plan.js';
import { cpuPerMillion, lost, p50, p99, rate, type Values } from './figure.js';
import { type Row, relays } from './row.js';

interface LoadRow {
  readonly id: string;
  readonly title: string;
  readonly protocol: Protocol;
  /** Port of the load server. */
  readonly port: number;
  readonly work: Work;
}

/** A row that the load generator measures as fast as the path goes. */
function loadRow({ id, title, protocol, port, work }: LoadRow): Row {
  const timed = work.kind === 'roundtrip';
  return {
    id,
    title,
    figures: timed ? [rate, p50, p99, cpuPerMillion, lost] : [rate, cpuPerMillion, lost],
    suits: relays(protocol),
    async measure(turn): Promise<Values> {
      const { stage, running } = await turn.arena();
      const plan = { ...turn.span, work, address: running.address, port };
      const { result, seconds } = await cpuOf(running.pid, () => stage.load(plan));
      const { amount, total, losses } = result;
      return {
        rate: amount / result.seconds,
        lost: (100 * losses) / (total + losses),
        ...(timed && { p50: result.p50, p99: result.p99 }),
        ...(seconds !== null && { cpu: (seconds / total) * 1e6 }),
      };
    },
  };
}

function udpRow(id: string, flows: number, outstanding: number, size: number): Row {
  return loadRow({
    id,
    title: `UDP round trips, ${flows} ${flows === 1 ? 'flow' : 'flows'} × ${outstanding} outstanding × ${size} B`,
    protocol: 'UDP',
    port: SERVER_PORTS.echo,
    work: { kind: 'udp', flows, outstanding, size },
  });
}

function roundTripRow(connections: number): Row {
  return loadRow({
    id: `roundtrip-${connections}`,
    title: `TCP round trips, ${connections} ${connections === 1 ? 'connection' : 'connections'}`,
    protocol: 'TCP',
    port: SERVER_PORTS.echo,
    work: { kind: 'roundtrip', connections },
  });
}

export const UDP_ROWS: readonly Row[] = [
  udpRow('udp', 8, 16, 64),
  udpRow('udp-big', 1, 64, 1200),
  udpRow('udp-many', 64, 4, 200),
];

export const TCP_ROWS: readonly Row[] = [
  loadRow({
    id: 'connect',
    title: 'TCP connect + request + response, 32 clients',
    protocol: 'TCP',
    port: SERVER_PORTS.once,
    work: { kind: 'connect', clients: 32 },
  }),
  roundTripRow(1),
  roundTripRow(32),
];
