import type { ClientKey } from '../clientkey.js';
import type { UdpFlow } from './flow.js';

const NONE: ReadonlySet<UdpFlow> = new Set();

/**
 * Limit of flows that participants at one client address have for themselves. A GUID prefix is easily made
 * up: without a limit, one client could take the flows and the pins of all others. Beyond it, the client's
 * participants share one flow, and the pin of its address.
 */
export const MAX_PARTICIPANT_FLOWS = 1024;

/** The flows of single participants, by client address. */
export class ParticipantFlows {
  readonly #flows = new Map<ClientKey, Set<UdpFlow>>();

  isFull(client: ClientKey): boolean {
    return this.of(client).size >= MAX_PARTICIPANT_FLOWS;
  }

  of(client: ClientKey): ReadonlySet<UdpFlow> {
    return this.#flows.get(client) ?? NONE;
  }

  add(client: ClientKey, flow: UdpFlow): void {
    const flows = this.#flows.get(client);
    if (flows === undefined) this.#flows.set(client, new Set([flow]));
    else flows.add(flow);
  }

  remove(client: ClientKey, flow: UdpFlow): void {
    const flows = this.#flows.get(client);
    flows?.delete(flow);
    if (flows?.size === 0) this.#flows.delete(client);
  }
}
