/**
 * Who may use a portal, and which of them another portal serves.
 *
 * @template Name how the other portal is named: by its key, or in a worker by its id
 */
export interface Admission<Name = string> {
  /**
   * CIDRs of the clients that are let in; null lets everyone in. Other clients get a reset, and their
   * datagrams are dropped.
   */
  readonly sources: readonly string[] | null;
  /** Clients of this portal's addresses that another portal serves; null where there are none. */
  readonly insiders: Insiders<Name> | null;
}

export interface Insiders<Name = string> {
  /** The portal that serves them. */
  readonly portal: Name;
  /** CIDRs of their addresses. */
  readonly sources: readonly string[];
}

/** The admission of most portals. They share this record, as there may be many thousands of them. */
export const EVERYONE: Admission<never> = { sources: null, insiders: null };
