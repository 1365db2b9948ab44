/**
 * Who may use a portal, and who of them is served by another one.
 *
 * @template Name how the other portal is named: by its key, or in a worker by its slot
 */
export interface Admission<Name = string> {
  /** CIDRs of the clients that are let in; null lets everyone in. Others get a reset, their datagrams are dropped. */
  readonly sources: readonly string[] | null;
  /** Clients that another portal serves, though they came to this one's addresses; null where there are none. */
  readonly insiders: Insiders<Name> | null;
}

export interface Insiders<Name = string> {
  /** The portal that serves them. */
  readonly portal: Name;
  /** CIDRs of their addresses. */
  readonly sources: readonly string[];
}

/** The admission of most portals: shared, as there may be many thousands of them. */
export const EVERYONE: Admission<never> = { sources: null, insiders: null };
