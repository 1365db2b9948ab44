/**
 * How the clients of a Service are carried, on all its ports alike. The parser makes one record for each Service. Everybody up to
 * the worker hands on that same record, so a new attribute is written here, where it is read from the Service, and where a worker
 * acts on it.
 */
export interface ServicePolicy {
  /** Which clients stay with one endpoint; null where each new connection and flow goes to the next endpoint in turn. */
  readonly affinity: Affinity | null;
}

/** Clients with the same key go to the same endpoint, on every port of the Service. */
export interface Affinity {
  /**
   * What the key is made of. `client-ip` is the client's address without its port: `sessionAffinity: ClientIP`. The kernel brings
   * all packets of one address to one worker; a key made of anything else needs portals that live in one worker only.
   */
  readonly by: 'client-ip';
  /**
   * How long a pin lives without use, ms. Default 10,800,000 (three hours), at most 86,400,000 (a day). After that the client's
   * next connection or flow goes to the next endpoint in turn.
   */
  readonly timeoutMs: number;
}

/** What a Service has that asks for nothing: shared, as there may be many thousands of them. */
export const DEFAULT_POLICY: ServicePolicy = { affinity: null };
