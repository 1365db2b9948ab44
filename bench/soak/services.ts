import type { BackendOptions } from '../../test/lab/backend.js';
import type { PortOptions, ServiceOptions } from '../../test/lab/manifest.js';
import type { ClientPlan, SoakTarget } from './clients/talk.js';

/** What each pod serves. */
export const SERVED: BackendOptions = {
  tcp: { 80: 'name', 81: 'echo' },
  udp: { 53: 'name', 7410: 'name', 7411: 'name' },
};

const tcp = (port: number): PortOptions => ({ name: `tcp-${port}`, protocol: 'TCP', port });
const udp = (port: number): PortOptions => ({ name: `udp-${port}`, protocol: 'UDP', port });

/** Its endpoints may leave, but they never fail: connections live on. */
export const CALM: ServiceOptions = {
  name: 'calm',
  clusterIPs: ['10.96.0.10', 'fd00:96::10'],
  ports: [tcp(81)],
};
/** Anything may happen to its endpoints, but not to all at the same time. */
export const RESTLESS: ServiceOptions = {
  name: 'restless',
  clusterIPs: ['10.96.0.11', 'fd00:96::11'],
  ports: [tcp(80), udp(53)],
};
/** The same endpoints. A client meets one on both ports. */
export const DDS: ServiceOptions = {
  name: 'dds',
  clusterIPs: ['10.96.0.12', 'fd00:96::12'],
  ports: [udp(7410), udp(7411)],
  affinity: true,
};
/** So many Services come and go, with the same endpoints. */
export const EXTRA_SERVICES = 10;

/** Nobody is a client of it. @param number from 0 on */
export function extraService(number: number): ServiceOptions {
  return {
    name: `extra-${number}`,
    clusterIPs: [`10.96.1.${number}`, `fd00:96::1:${number}`],
    ports: [tcp(80), udp(53)],
    annotations: number % 2 === 0 ? {} : { carrier: 'relay' },
  };
}

const targets = ({ clusterIPs }: ServiceOptions, port: number, otherPort = port): SoakTarget[] =>
  clusterIPs.map((address) => ({ address, port, otherPort }));

/** The clients of a soak: each plan is a program of its own. */
export const CLIENTS: readonly ClientPlan[] = [
  { kind: 'tcp-short', targets: targets(RESTLESS, 80), lanes: 8 },
  { kind: 'tcp-long', targets: targets(CALM, 81), lanes: 16 },
  { kind: 'udp-lookup', targets: targets(RESTLESS, 53), lanes: 8 },
  { kind: 'udp-stream', targets: targets(RESTLESS, 53), lanes: 32 },
  { kind: 'dds', targets: targets(DDS, 7410, 7411), lanes: 4 },
];
