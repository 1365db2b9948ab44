import type { Logger } from 'pino';
import type { NodeAddresses } from './nodeaddresses.js';

/** What the control plane needs to know; the command line fills it. Times are milliseconds. */
export interface ProxyOptions {
  readonly workers: number;
  /** Address that proxy ports bind per family: the wildcard unless `--bind-address` says otherwise. */
  readonly bindAddress: { readonly IPv4: string; readonly IPv6: string };
  /** Where NodePorts are served. */
  readonly nodeAddresses: NodeAddresses;
  /** Inclusive. */
  readonly proxyPortRange: { readonly first: number; readonly last: number };
  /** Idle time of a UDP flow; null means 30 s, and 120 s once it has lasted 2 s and had a reply, as conntrack. */
  readonly udpTimeoutMs: number | null;
  /** Full check of the redirect rules and retry of what could not be bound. */
  readonly syncPeriodMs: number;
  readonly stateDir: string;
  readonly log: Logger;
}
