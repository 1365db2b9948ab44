/**
 * Which clients may use a portal, and which of these clients another portal serves.
 *
 * @template Name how the other portal is named: by its key, or in a worker by its id
 */
export interface Admission<Name = string> {
  /**
   * CIDRs of the clients that may use the portal. Null: all clients may. The connections of other clients are
   * reset, and their datagrams are dropped.
   */
  readonly sources: readonly string[] | null;
  /** Clients of this portal's addresses that another portal serves. Null if there are none. */
  readonly insiders: Insiders<Name> | null;
}

export interface Insiders<Name = string> {
  /** The portal that serves these clients. */
  readonly portal: Name;
  /** CIDRs of the clients' addresses. */
  readonly sources: readonly string[];
}

/** The admission of most portals. They share this record because there may be many thousands of portals. */
export const EVERYONE: Admission<never> = { sources: null, insiders: null };
