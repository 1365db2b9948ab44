import type { CounterValues } from '../dataplane/counters.js';
import type { Family, Protocol, Vip } from '../model/portal.js';

/** One portal as people see it. */
export interface PortalStatus {
  readonly key: string;
  /** `namespace/name`. */
  readonly service: string;
  readonly portName: string;
  readonly protocol: Protocol;
  readonly family: Family;
  readonly vips: readonly Vip[];
  readonly nodePort: number | null;
  /** Port of the wildcard listener; null where the VIPs are listened on themselves. */
  readonly proxyPort: number | null;
  /** `address:port` of each endpoint. */
  readonly endpoints: readonly string[];
  readonly affinity: { readonly timeoutSeconds: number } | null;
  /** `unsupported`: the redirect driver cannot serve the family on this node; `pending`: it is tried again. */
  readonly state: 'serving' | 'pending' | 'no-endpoints' | 'unsupported';
  readonly problems: readonly string[];
}

/** The whole program as people see it. */
export interface ProxyStatus {
  readonly driver: string;
  readonly workers: number;
  readonly portals: readonly PortalStatus[];
}

/** What one portal has carried since it was made. */
export interface PortalCounters extends Readonly<CounterValues> {
  readonly key: string;
  readonly service: string;
  readonly portName: string;
  readonly protocol: Protocol;
  readonly family: Family;
}
