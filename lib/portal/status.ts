import type { Affinity, ServicePolicy } from './policy.js';
import type { Portal } from './portal.js';

/** What a portal's status and its counters name it by. */
export type PortalName = Pick<Portal, 'key' | 'service' | 'portName' | 'protocol' | 'family'>;

/** One portal as people see it. */
export interface PortalStatus extends PortalName, Pick<Portal, 'vips' | 'nodePort'> {
  /** Port of the wildcard listener; null where the VIPs are listened on themselves. */
  readonly proxyPort: number | null;
  /** `address:port` of each endpoint. */
  readonly endpoints: readonly string[];
  /** Null where each new connection and flow goes to the next endpoint in turn. */
  readonly affinity: AffinityStatus | null;
  /**
   * `unsupported`: the redirect driver cannot serve the family on this node; `taken`: another program listens
   * where the VIPs should be served; `pending`: anything else that is amiss. The last two are tried again.
   */
  readonly state: 'serving' | 'pending' | 'taken' | 'no-endpoints' | 'unsupported';
  readonly problems: readonly string[];
}

/** {@link Affinity} as people write it in a Service, with its time-out in seconds. */
export interface AffinityStatus extends Pick<Affinity, 'by'> {
  readonly timeoutSeconds: number;
}

export function affinityStatus({ affinity }: ServicePolicy): AffinityStatus | null {
  return affinity && { by: affinity.by, timeoutSeconds: affinity.timeoutMs / 1000 };
}

/** The whole program as people see it. */
export interface ProxyStatus {
  /** Of the redirect, for example `iptables (IPv6: address)`. */
  readonly driver: string;
  /** Which IP family another driver serves than the one that was tried first, and why: a sentence each. */
  readonly fallbacks: readonly string[];
  readonly workers: number;
  /** What is amiss with the node as a whole. */
  readonly problems: readonly string[];
  readonly portals: readonly PortalStatus[];
}
