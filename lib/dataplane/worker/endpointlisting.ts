import type { UsedEndpoint, UsedEndpoints } from '../shared/endpoints.js';
import type { ServedPortal } from './servedportal.js';
import type { Target } from './target.js';

/**
 * What a worker has counted of the endpoints of some portals. Ids without a portal are left out.
 * @param portalOf finds a portal by its id
 * @param now loop clock, ms
 */
export function usedEndpoints(
  ids: readonly number[],
  portalOf: (id: number) => ServedPortal | undefined,
  now: number,
): UsedEndpoints[] {
  return ids.flatMap((id) => {
    const portal = portalOf(id);
    return portal === undefined ? [] : { id, endpoints: usedOf(portal, now) };
  });
}

function usedOf({ balancer, router }: ServedPortal, now: number): UsedEndpoint[] {
  const { rotation } = balancer;
  const targets = router === null ? rotation.targets : [...rotation.targets, router.everyone];
  return targets.flatMap((target) => describe(target, rotation.isAvoided(target), now) ?? []);
}

function describe({ name, usedCounts }: Target, isAvoided: boolean, now: number): UsedEndpoint | null {
  if (usedCounts === null) return null;
  const { failedAt, reason, ...counters } = usedCounts;
  const lastFailure = reason === null ? null : { reason, agoMs: Math.max(0, Math.round(now - failedAt)) };
  return { endpoint: name, isAvoided, lastFailure, ...counters };
}
