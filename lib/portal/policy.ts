import type { CarrierMode } from './carrier.js';

/**
 * How the clients of a Service are served. It is the same on all ports of the Service. The parser makes one
 * record for each Service, and that record goes unchanged to the worker. So a new attribute is written in
 * three places: here, where it is read from the Service, and where a worker acts on it.
 */
export interface ServicePolicy {
  /**
   * Which clients stay with one endpoint. Null: each new connection or flow goes to the next endpoint in
   * turn.
   */
  readonly affinity: Affinity | null;
  /** Where datagrams of RTPS (DDS, ROS 2) go. Null: the Service does not say that it speaks RTPS. */
  readonly rtpsRouting: RtpsRouting | null;
  /**
   * Whether all clients go to one endpoint, the first of an order that all nodes agree on, and to the next
   * one only while the first is not there.
   */
  readonly activeStandby: boolean;
  /** What moves the bytes of its clients. Null: as `--carrier` says. */
  readonly carrier: CarrierMode | null;
}

/**
 * - `pin`: to the endpoint that the client is pinned to, as other datagrams.
 * - `follow`: to the endpoint that has the participant that the datagram names; to all where it names none.
 * - `fan-out`: to every endpoint but the sender.
 */
export type RtpsRouting = 'pin' | 'follow' | 'fan-out';

/** Clients with the same key go to the same endpoint, on every port of the Service. */
export interface Affinity {
  /**
   * What the key is made of.
   *
   * - `client-ip`: the client's address without its port.
   * - `rtps-participant`: the GUID prefix of the participant that sends.
   * - `rtps-host`: the first four bytes of the prefix. Fast DDS gives all participants of a host the same.
   */
  readonly by: 'client-ip' | 'rtps-participant' | 'rtps-host';
  /**
   * How long a pin lives without use, ms. Default 10,800,000 (three hours), at most 86,400,000 (one day). As
   * in the API, a Service that asks for more is refused. After that time, the client's next connection or
   * flow goes to the next endpoint in turn.
   */
  readonly timeoutMs: number;
}

/**
 * The policy of a Service that asks for nothing. Such Services share this record because there may be many
 * thousands of them.
 */
export const DEFAULT_POLICY: ServicePolicy = {
  affinity: null,
  rtpsRouting: null,
  activeStandby: false,
  carrier: null,
};

/**
 * Whether the portals of a Service must live in one worker only. If clients are pinned by their addresses,
 * the kernel steers all packets from one address to one worker. It knows nothing of other pin keys, of which
 * endpoint has a participant, and of which flows are those of one participant.
 */
export function needsOneWorker(policy: ServicePolicy): boolean {
  const isSteered = policy.affinity?.by === 'client-ip' && policy.rtpsRouting === 'pin';
  return speaksRtps(policy) && !isSteered;
}

/** Whether each datagram of a Service has its own way: then nobody but a worker can carry it. */
export function routesEachDatagram({ rtpsRouting }: ServicePolicy): boolean {
  return rtpsRouting === 'follow' || rtpsRouting === 'fan-out';
}

/** Whether a Service says that its datagrams are RTPS. Nobody looks into those of other Services. */
export function speaksRtps(policy: ServicePolicy): boolean {
  return policy.rtpsRouting !== null || hasRtpsKey(policy);
}

function hasRtpsKey({ affinity }: ServicePolicy): boolean {
  return affinity !== null && affinity.by !== 'client-ip';
}
