import type { CounterValues } from '../dataplane/counters.js';
import type { Portal } from '../model/portal.js';

/** What a portal's status and its counters name it by. */
type PortalName = Pick<Portal, 'key' | 'service' | 'portName' | 'protocol' | 'family'>;

/** One portal as people see it. */
export interface PortalStatus extends PortalName, Pick<Portal, 'vips' | 'nodePort' | 'affinity'> {
  /** Port of the wildcard listener; null where the VIPs are listened on themselves. */
  readonly proxyPort: number | null;
  /** `address:port` of each endpoint. */
  readonly endpoints: readonly string[];
  /**
   * `unsupported`: the redirect driver cannot serve the family on this node; `taken`: another program listens where the VIPs should
   * be served; `pending`: anything else that is amiss. The last two are tried again.
   */
  readonly state: 'serving' | 'pending' | 'taken' | 'no-endpoints' | 'unsupported';
  readonly problems: readonly string[];
}

/** The whole program as people see it. */
export interface ProxyStatus {
  readonly driver: string;
  readonly workers: number;
  /** What is amiss with the node as a whole. */
  readonly problems: readonly string[];
  readonly portals: readonly PortalStatus[];
}

/** What one portal has carried since it was made. */
export interface PortalCounters extends Readonly<CounterValues>, PortalName {}
