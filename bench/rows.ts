import type { Protocol } from '../lib/model/portal.js';
import { SERVER_PORTS, type Work } from './load/plan.js';

/** One kind of traffic that is measured. */
export interface Row {
  readonly id: string;
  readonly title: string;
  readonly protocol: Protocol;
  /** Port of the load server. */
  readonly port: number;
  readonly work: Work;
  /** How amounts are shown. */
  readonly unit: Unit;
}

export interface Unit {
  readonly rate: string;
  /** Of the amount per second. */
  readonly show: (perSecond: number) => string;
  readonly cost: string;
  /** What the CPU cost is given for, in the amount's own unit. */
  readonly costFor: number;
}

const perSecond: Unit = {
  rate: 'per second',
  show: (value) => Math.round(value).toString(),
  cost: 'CPU s per million',
  costFor: 1e6,
};

const gigabits: Unit = {
  rate: 'Gbit/s',
  show: (value) => ((value * 8) / 1e9).toFixed(2),
  cost: 'CPU s per GiB',
  costFor: 2 ** 30,
};

export const ROWS: readonly Row[] = [
  {
    id: 'udp',
    title: 'UDP round trips, 8 flows x 16 outstanding x 64 B',
    protocol: 'UDP',
    port: SERVER_PORTS.echo,
    work: { kind: 'udp', flows: 8, outstanding: 16, size: 64 },
    unit: perSecond,
  },
  {
    id: 'connect',
    title: 'TCP connect + request + response, 32 clients',
    protocol: 'TCP',
    port: SERVER_PORTS.once,
    work: { kind: 'connect', clients: 32 },
    unit: perSecond,
  },
  {
    id: 'roundtrip-1',
    title: 'TCP round trips, 1 connection',
    protocol: 'TCP',
    port: SERVER_PORTS.echo,
    work: { kind: 'roundtrip', connections: 1 },
    unit: perSecond,
  },
  {
    id: 'roundtrip-32',
    title: 'TCP round trips, 32 connections',
    protocol: 'TCP',
    port: SERVER_PORTS.echo,
    work: { kind: 'roundtrip', connections: 32 },
    unit: perSecond,
  },
  {
    id: 'bulk',
    title: 'TCP bulk, 1 stream',
    protocol: 'TCP',
    port: SERVER_PORTS.sink,
    work: { kind: 'bulk', streams: 1 },
    unit: gigabits,
  },
];
