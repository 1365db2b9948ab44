import type { EndpointLoad } from './sessions.js';

/** Counts the sessions of each endpoint of each portal. */
export class EndpointLoads {
  readonly #byPortal = new Map<EndpointLoad['portal'], Map<EndpointLoad['endpoint'], number>>();

  add({ portal, endpoint, sessions }: EndpointLoad): void {
    let counts = this.#byPortal.get(portal);
    if (counts === undefined) {
      counts = new Map();
      this.#byPortal.set(portal, counts);
    }
    counts.set(endpoint, (counts.get(endpoint) ?? 0) + sessions);
  }

  get all(): EndpointLoad[] {
    return [...this.#byPortal].flatMap(([portal, counts]) =>
      [...counts].map(([endpoint, sessions]) => ({ portal, endpoint, sessions })),
    );
  }
}
