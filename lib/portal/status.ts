import type { CarrierMode } from './carrier.js';
import type { Affinity, ServicePolicy } from './policy.js';
import type { Portal } from './portal.js';

/** The names of a portal in its status and its counters. */
export type PortalName = Pick<Portal, 'key' | 'service' | 'portName' | 'protocol' | 'family'>;

/** Status of one portal, for people. */
export interface PortalStatus
  extends PortalName,
    Pick<Portal, 'vips' | 'nodePort'>,
    Pick<ServicePolicy, 'rtpsRouting' | 'activeStandby'> {
  /** Port of the listener on all addresses. Null if the listeners are on the VIPs. */
  readonly proxyPort: number | null;
  /** `address:port` of each endpoint. */
  readonly endpoints: readonly string[];
  /** Null: each new connection and flow goes to the next endpoint in turn. */
  readonly affinity: AffinityStatus | null;
  /**
   * `unsupported`: the redirect driver cannot serve the family on this node. `taken`: another program listens
   * on an address and port that the portal needs. `pending`: there is another problem. `taken` and `pending`
   * portals are tried again.
   */
  readonly state: 'serving' | 'pending' | 'taken' | 'no-endpoints' | 'unsupported';
  /**
   * What moves the bytes of its clients. With `kernel`, clients that the kernel cannot carry are relayed all
   * the same: those of endpoints that it does not reach, and those that an endpoint has of itself.
   */
  readonly carrier: 'kernel' | 'relay';
  /** Why it is relayed although `auto` or `kernel` is wanted. Null: it is not, or `relay` is wanted. */
  readonly relayReason: string | null;
  readonly problems: readonly string[];
}

/** {@link Affinity} as people write it in a Service, with its time-out in seconds. */
export interface AffinityStatus extends Pick<Affinity, 'by'> {
  readonly timeoutSeconds: number;
}

export function affinityStatus({ affinity }: ServicePolicy): AffinityStatus | null {
  return affinity && { by: affinity.by, timeoutSeconds: affinity.timeoutMs / 1000 };
}

/** Status of the whole program, for people. */
export interface ProxyStatus {
  /** Name of the redirect driver, for example `iptables (IPv6: address)`. */
  readonly driver: string;
  /**
   * One sentence for each IP family that the first driver could not serve: which driver serves it, and why.
   */
  readonly fallbacks: readonly string[];
  readonly workers: number;
  /** What carries the traffic of Services without an annotation about it. `--carrier` */
  readonly carrier: CarrierMode;
  /** One sentence for each reason why the kernel cannot carry something on this node. */
  readonly carrierLimits: readonly string[];
  /** Problems of the node, not of one portal. */
  readonly problems: readonly string[];
  readonly portals: readonly PortalStatus[];
}
