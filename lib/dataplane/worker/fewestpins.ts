import type { ServiceEndpoint, ServiceEndpoints } from './serviceendpoints.js';
import type { Target } from './target.js';

/**
 * Finds the endpoint that has the fewest pins in all workers, and adds one to its count. If another worker
 * changes the count meanwhile, it looks again.
 *
 * @param targets whose `home` is set
 * @param turn the index to begin at: if several endpoints have the fewest pins, the first one is taken
 * @param tried the endpoints that failed
 * @returns null if every endpoint has been tried
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
