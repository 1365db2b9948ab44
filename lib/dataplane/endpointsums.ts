import { addUsed, type UsedEndpoint, type UsedEndpoints } from './shared/endpoints.js';

/** Adds up what all workers have counted of endpoints. */
export class EndpointSums {
  readonly #portals = new Map<number, Map<string, UsedEndpoint>>();

  /** Takes the answer of one worker. */
  add(answer: readonly UsedEndpoints[]): void {
    for (const { id, endpoints } of answer) {
      const sums = this.#sumsOf(id);
      for (const endpoint of endpoints) {
        const sum = sums.get(endpoint.endpoint);
        sums.set(endpoint.endpoint, sum === undefined ? endpoint : addUsed(sum, endpoint));
      }
    }
  }

  /** The used endpoints of a portal, by name. */
  of(id: number): ReadonlyMap<string, UsedEndpoint> {
    return this.#sumsOf(id);
  }

  #sumsOf(id: number): Map<string, UsedEndpoint> {
    let sums = this.#portals.get(id);
    if (sums === undefined) {
      sums = new Map();
      this.#portals.set(id, sums);
    }
    return sums;
  }
}
