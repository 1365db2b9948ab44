/** What portals have given to their endpoints, as the workers tell it and the control plane adds it up. */

import type { PortalName } from '../../portal/status.js';

/**
 * What one endpoint has had through one portal, since the portal has it. It ends with the endpoint; the
 * counters of the portal go on. "In" is from clients to the endpoint. `active` and `carriedActive` say how
 * many there are now. All others only grow.
 */
export interface EndpointCounters {
  /**
   * TCP connections and UDP flows that were given to the endpoint, also if it did not answer. A client that
   * meets several endpoints counts at each.
   */
  readonly total: number;
  /** Those that are relayed now. A TCP connection counts from the endpoint's answer on. */
  readonly active: number;
  /** Those that the kernel carries now, see `carriedConnectionsActive` and `carriedFlowsActive`. */
  readonly carriedActive: number;
  /** How often the endpoint refused or did not answer in time. */
  readonly failures: number;
  /** How often a connection or flow was given to another endpoint instead, because this one had failed. */
  readonly moved: number;
  /** UDP only, and as in the counters of portals. */
  readonly datagramsIn: number;
  readonly datagramsOut: number;
  /** Payload, as in the counters of portals. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface EndpointFailure {
  /** Name of the error, such as `ECONNREFUSED`, or a few words. */
  readonly reason: string;
  /** Milliseconds since then. */
  readonly agoMs: number;
}

/** The name of what counts for all endpoints together: flows whose datagrams go to several (rtps-routing). */
export const ALL_ENDPOINTS = 'all';

/** An endpoint to which a client was given, or which has failed. */
export interface UsedEndpoint extends EndpointCounters {
  /** `address:port`, or {@link ALL_ENDPOINTS}. */
  readonly endpoint: string;
  /** Whether new clients avoid it, because it has failed within the last seconds. */
  readonly isAvoided: boolean;
  readonly lastFailure: EndpointFailure | null;
}

/** The used endpoints of one portal. */
export interface UsedEndpoints {
  /** Id of the portal. */
  readonly id: number;
  readonly endpoints: readonly UsedEndpoint[];
}

/** An endpoint of a portal on this node, used or not. */
export interface EndpointStatus extends PortalName, Omit<UsedEndpoint, 'isAvoided'> {
  /** `namespace/name` of the pod, or the address of an endpoint that is no pod. Null for all. */
  readonly pod: string | null;
  /** `avoided`: it failed within the last seconds, and new clients get another endpoint if one is left. */
  readonly state: 'ready' | 'avoided';
}

/** Which endpoints to list. */
export interface EndpointFilter {
  /** Only those of this Service, `namespace/name`; null for all. */
  readonly service: string | null;
  /** Whether endpoints are left out that nobody has used. */
  readonly onlyUsed: boolean;
}

const UNUSED: Omit<UsedEndpoint, 'endpoint'> = {
  isAvoided: false,
  lastFailure: null,
  total: 0,
  active: 0,
  carriedActive: 0,
  failures: 0,
  moved: 0,
  datagramsIn: 0,
  datagramsOut: 0,
  bytesIn: 0,
  bytesOut: 0,
};

export function unusedEndpoint(endpoint: string): UsedEndpoint {
  return { endpoint, ...UNUSED };
}

/** What two workers tell of one endpoint. */
export function addUsed(one: UsedEndpoint, other: UsedEndpoint): UsedEndpoint {
  return {
    endpoint: one.endpoint,
    isAvoided: one.isAvoided || other.isAvoided,
    lastFailure: later(one.lastFailure, other.lastFailure),
    ...addEndpointCounters(one, other),
  };
}

export function addEndpointCounters(one: EndpointCounters, other: EndpointCounters): EndpointCounters {
  return {
    total: one.total + other.total,
    active: one.active + other.active,
    carriedActive: one.carriedActive + other.carriedActive,
    failures: one.failures + other.failures,
    moved: one.moved + other.moved,
    datagramsIn: one.datagramsIn + other.datagramsIn,
    datagramsOut: one.datagramsOut + other.datagramsOut,
    bytesIn: one.bytesIn + other.bytesIn,
    bytesOut: one.bytesOut + other.bytesOut,
  };
}

function later(one: EndpointFailure | null, other: EndpointFailure | null): EndpointFailure | null {
  if (one === null || other === null) return one ?? other;
  return one.agoMs <= other.agoMs ? one : other;
}
