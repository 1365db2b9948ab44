import type { Logger } from 'pino';
import type { NodeAddresses } from './nodeaddresses.js';

/** What the control plane needs to know. The command line fills it, and has the defaults named here. */
export interface ProxyOptions {
  /** Threads that relay, at least 1. `--workers`: half the cores, from 1 to 4. */
  readonly workers: number;
  /** Address that proxy ports bind, per family. `--bind-address`: the wildcard. */
  readonly bindAddress: { readonly IPv4: string; readonly IPv6: string };
  /** Where NodePorts are served. `--nodeport-addresses`: on all addresses. */
  readonly nodeAddresses: NodeAddresses;
  /**
   * Ports from which each portal takes one where the redirect driver leads to ports; both ends belong to it.
   * A portal that finds none free stays pending and is tried again. `--proxy-port-range`: 20000-29999.
   */
  readonly proxyPortRange: { readonly first: number; readonly last: number };
  /**
   * Idle time of a UDP flow, ms, after which it is forgotten. Null takes conntrack's: 30,000, and 120,000
   * once the flow has lasted 2,000 and had a reply. `--udp-timeout`: null.
   */
  readonly udpTimeoutMs: number | null;
  /**
   * How often, ms, all redirects are checked and repaired. What could not be bound is tried again as often,
   * at the latest after 5,000. `--iptables-sync-period`: 30,000.
   */
  readonly syncPeriodMs: number;
  /**
   * Directory that remembers proxy ports across restarts; made where it is not there. Where it cannot be
   * written, all goes on without. `--state-dir`: /run/kube-portal.
   */
  readonly stateDir: string;
  readonly log: Logger;
}
