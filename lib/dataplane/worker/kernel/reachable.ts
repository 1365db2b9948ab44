import { errnoName } from '../../../sys/errno.js';
import { Blame, blameForConnect } from '../blame.js';
import type { Failover } from '../failover.js';
import type { Target } from '../target.js';
import type { Paths } from './paths.js';

/**
 * An endpoint to which a route leads.
 * @param first the one to begin with
 * @param failover finds the next ones; called if no route leads to the first one
 * @returns null if there is none, or if this node is short of something: no endpoint is to blame for that
 */
export function reachable(
  first: Target | null,
  failover: () => Pick<Failover, 'next'>,
  { paths, now }: { readonly paths: Pick<Paths, 'to'>; readonly now: () => number },
): Target | null {
  let target = first;
  let failing: Pick<Failover, 'next'> | null = null;
  while (target !== null) {
    const route = paths.to(target);
    if (typeof route !== 'number') return target;
    if (blameForConnect(route) === Blame.Node) return null;
    failing ??= failover();
    target = failing.next(target, errnoName(route), now());
  }
  return null;
}
