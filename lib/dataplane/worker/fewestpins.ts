import type { ServiceEndpoint, ServiceEndpoints } from './serviceendpoints.js';
import type { Target } from './target.js';

/**
 * Finds the endpoint with the fewest pins of the Service in all workers, and adds a pin to its count. Other
 * workers may do the same at this moment: then it looks again.
 *
 * @param targets with their `home`
 * @param turn where to begin: of several with the fewest pins, the first one is taken
 * @param tried what failed already
 * @returns null where every endpoint has been tried
 */
export function takeFewestPins(
  targets: readonly Target[],
  turn: number,
  tried: ReadonlySet<Target>,
  endpoints: ServiceEndpoints,
): Target | null {
  for (;;) {
    let best: Target | null = null;
    let fewest = Number.POSITIVE_INFINITY;
    for (let step = 0; step < targets.length; step++) {
      const target = targets[(turn + step) % targets.length];
      if (tried.has(target)) continue;
      const pins = endpoints.pinsOf(target.home as ServiceEndpoint);
      if (pins >= fewest) continue;
      best = target;
      fewest = pins;
    }
    if (best === null || endpoints.tryAddPin(best.home as ServiceEndpoint, fewest)) return best;
  }
}
