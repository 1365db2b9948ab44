import type { ClientKey } from '../clientkey.js';

/**
 * Limit of flows that participants at one client address have for themselves. A GUID prefix is easily made
 * up: without a limit, one client could take the flows and the pins of all others. Beyond it, the client's
 * participants share one flow, and the pin of its address.
 */
export const MAX_PARTICIPANT_FLOWS = 1024;

/** How many flows of single participants each client address has. */
export class ParticipantFlows {
  readonly #counts = new Map<ClientKey, number>();

  isFull(client: ClientKey): boolean {
    return (this.#counts.get(client) ?? 0) >= MAX_PARTICIPANT_FLOWS;
  }

  add(client: ClientKey): void {
    this.#counts.set(client, (this.#counts.get(client) ?? 0) + 1);
  }

  /** Once for each {@link add}. */
  remove(client: ClientKey): void {
    const left = (this.#counts.get(client) ?? 0) - 1;
    if (left > 0) this.#counts.set(client, left);
    else this.#counts.delete(client);
  }
}
