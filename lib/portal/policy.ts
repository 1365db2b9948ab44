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
}

/** Clients with the same key go to the same endpoint, on every port of the Service. */
export interface Affinity {
  /**
   * What the key is made of. `client-ip` (`sessionAffinity: ClientIP`) is the client's address without its
   * port. The kernel steers all packets from one address to one worker. If a key is made of anything else,
   * the portals must live in one worker only.
   */
  readonly by: 'client-ip';
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
export const DEFAULT_POLICY: ServicePolicy = { affinity: null };
