import type { Protocol } from '../../lib/net/protocol.js';
import { cpuOf } from '../cpu.js';
import { SERVER_PORTS, type Work } from '../load/plan.js';
import { CLIENT_ADDRESSES } from '../testbed.js';
import { cpuPerMillion, type Figure, lost, p50, p99, rate, type Values } from './figure.js';
import { type Row, relays } from './row.js';

interface LoadRow {
  readonly id: string;
  readonly title: string;
  readonly protocol: Protocol;
  /** Port of the load server. */
  readonly port: number;
  readonly work: Work;
  /** Some of the figures that the load generator measures. */
  readonly figures: readonly [Figure, ...Figure[]];
}

/** A row that the load generator measures. It sends as fast as the path allows. */
function loadRow({ id, title, protocol, port, work, figures }: LoadRow): Row {
  return {
    id,
    title,
    figures,
    suits: relays(protocol),
    async measure(turn) {
      const { testbed, running } = await turn.deployment();
      const plan = { ...turn.times, work, address: running.address, port };
      const { result, seconds } = await cpuOf(running.pid, () => testbed.load(plan));
      const { rate, total, losses, p50, p99 } = result;
      const cpu = seconds === null ? undefined : (seconds / total) * 1e6;
      return only(figures, { rate, p50, p99, lost: (100 * losses) / (total + losses), cpu });
    },
  };
}

function only(figures: readonly Figure[], values: Readonly<Record<string, number | undefined>>): Values {
  const known = figures.map(({ id }) => [id, values[id]] as const).filter(([, value]) => value !== undefined);
  return Object.fromEntries(known) as Values;
}

const count = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;

function echoRow(id: string, flows: number, outstanding: number, size: number): Row {
  return loadRow({
    id,
    title: `UDP round trips, ${count(flows, 'flow')} × ${outstanding} outstanding × ${size} B`,
    protocol: 'UDP',
    port: SERVER_PORTS.echo,
    work: { kind: 'udp', flows, outstanding, size },
    figures: [rate, cpuPerMillion, lost],
  });
}

function oneWayRow(flows: number, size: number): Row {
  return loadRow({
    id: `one-way-${flows}x${size}`,
    title: `UDP one way, ${count(flows, 'flow')} × ${size} B, highest rate with less than 0.1 % lost`,
    protocol: 'UDP',
    port: SERVER_PORTS.count,
    work: { kind: 'one-way', flows, size },
    figures: [rate, cpuPerMillion],
  });
}

function roundTripRow(connections: number): Row {
  return loadRow({
    id: `roundtrip-${connections}`,
    title: `TCP round trips, ${count(connections, 'connection')}`,
    protocol: 'TCP',
    port: SERVER_PORTS.echo,
    work: { kind: 'roundtrip', connections },
    figures: [rate, p50, p99, cpuPerMillion],
  });
}

function flowsRow(id: string, clients: number, requests: number): Row {
  return loadRow({
    id,
    title: `New UDP flows, ${count(requests, 'request')} each, ${count(clients, 'client')}`,
    protocol: 'UDP',
    port: SERVER_PORTS.echo,
    work: { kind: 'flows', clients, requests, sources: CLIENT_ADDRESSES },
    figures: [rate, cpuPerMillion, lost],
  });
}

function connectRow(id: string, clients: number): Row {
  return loadRow({
    id,
    title: `TCP connect + request + response, ${count(clients, 'client')}`,
    protocol: 'TCP',
    port: SERVER_PORTS.once,
    work: { kind: 'connect', clients },
    figures: [rate, cpuPerMillion, lost],
  });
}

export const UDP_ROWS: readonly Row[] = [
  echoRow('udp', 8, 16, 64),
  echoRow('udp-big', 1, 64, 1200),
  echoRow('udp-many', 64, 4, 200),
  oneWayRow(1, 64),
  oneWayRow(1, 1400),
  oneWayRow(16, 64),
  oneWayRow(16, 1400),
  flowsRow('flows', 32, 1),
  flowsRow('flows-1', 1, 1),
  flowsRow('flows-of-8', 32, 8),
];

export const TCP_ROWS: readonly Row[] = [
  connectRow('connect', 32),
  connectRow('connect-1', 1),
  roundTripRow(1),
  roundTripRow(32),
];
