import type { Protocol } from '../lib/net/protocol.js';
import { DDS_PORTS } from '../test/lab/ddsperf.js';
import { SERVER_PORTS } from './load/plan.js';

/** The address that clients use. */
export const VIP = '10.96.0.10';

/** The port of iperf3's server. */
export const IPERF_PORT = 5201;

export interface ServicePort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

/** The ports of the Service that all rows use, the same on the VIP and in the backend pod. */
export const SERVICE_PORTS: readonly ServicePort[] = [
  { name: 'echo-udp', protocol: 'UDP', port: SERVER_PORTS.echo },
  { name: 'count', protocol: 'UDP', port: SERVER_PORTS.count },
  { name: 'discovery', protocol: 'UDP', port: DDS_PORTS.discovery },
  { name: 'data', protocol: 'UDP', port: DDS_PORTS.data },
  { name: 'echo-tcp', protocol: 'TCP', port: SERVER_PORTS.echo },
  { name: 'keep', protocol: 'TCP', port: SERVER_PORTS.keep },
  { name: 'once', protocol: 'TCP', port: SERVER_PORTS.once },
  { name: 'iperf3', protocol: 'TCP', port: IPERF_PORT },
];
