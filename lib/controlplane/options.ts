import type { Logger } from 'pino';
import type { CarrierOptions } from '../portal/carrier.js';
import type { PortRange } from '../redirect/rules.js';
import type { NodeAddresses } from './nodeaddresses.js';

/** Options of the control plane. The defaults named here are those of the command line. */
export interface ProxyOptions {
  /** Number of worker threads, at least 1. `--workers`: half the cores, from 1 to 4. */
  readonly workers: number;
  /** Address that proxy ports bind, per family. `--bind-address`: the wildcard. */
  readonly bindAddress: { readonly IPv4: string; readonly IPv6: string };
  /** Where NodePorts are served. `--nodeport-addresses`: on all addresses. */
  readonly nodeAddresses: NodeAddresses;
  /**
   * Proxy ports. Each portal takes one if the driver redirects to ports. If none is
   * free, the portal stays pending and is tried again. `--proxy-port-range`: 20000-29999.
   */
  readonly proxyPortRange: PortRange;
  /**
   * Milliseconds. A UDP flow that is idle for longer ends. Null: as in conntrack, 30,000, or 120,000 if the
   * flow has lasted 2000 and had an answer. `--udp-timeout`: null.
   */
  readonly udpTimeoutMs: number | null;
  /**
   * Copies of datagrams a second that a Service port with `rtps-routing` may make: what goes to one endpoint
   * only is not counted. Datagrams beyond it are dropped. `--rtps-copies`: 20,000.
   */
  readonly rtpsCopies: number;
  /**
   * Pins of clients to endpoints, of all Services together. Beyond it, a new pin takes the place of the one
   * that was not used for longest. `--max-pins`: 65,536.
   */
  readonly maxPins: number;
  readonly carrier: CarrierOptions;
  /**
   * Milliseconds between two checks and repairs of all redirects. A listener that could not be opened is
   * tried again after this time, or after 5000 if that is less. `--iptables-sync-period`: 30,000.
   */
  readonly syncPeriodMs: number;
  /**
   * Directory in which proxy ports and pins are saved for the next run. It is made if it does not exist. If a
   * file cannot be written later, kube-portal goes on without it. `--state-dir`: /run/kube-portal.
   */
  readonly stateDir: string;
  readonly log: Logger;
}
