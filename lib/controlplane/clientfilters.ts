import { type ListenerGroup, setFilter, steer } from '../dataplane/listeners.js';
import { NONE } from '../model/compact.js';
import type { ServicePolicy } from '../portal/policy.js';
import { explainFilter, explainSteering } from './listenfailure.js';
import type { PortalProblem } from './portalproblem.js';
import type { OpenListener } from './portalsockets.js';

/**
 * For a portal with affinity: asks the kernel to give each client one worker. Else a client meets any worker.
 */
export function steerClients(group: ListenerGroup, { affinity }: ServicePolicy): readonly PortalProblem[] {
  if (affinity === null) return NONE;
  const code = steer(group);
  return code === 0 ? NONE : [fallsShort(explainSteering(group.spec, code))];
}

/**
 * Asks the kernel to drop packets that come to the listeners from all other clients.
 * @param heard see {@link setFilter}. Null: all clients are heard.
 */
export function hearOnly(
  listeners: readonly OpenListener[],
  heard: readonly string[] | null,
): readonly PortalProblem[] {
  return listeners.flatMap((listener) => filterClients(listener, heard));
}

function filterClients(listener: OpenListener, heard: readonly string[] | null): readonly PortalProblem[] {
  const wanted = heard?.join() ?? null;
  if (listener.heard === wanted) return NONE;
  const code = setFilter(listener.group, heard);
  if (code !== 0) return [fallsShort(explainFilter(listener.group.spec, heard, code))];
  listener.heard = wanted;
  return NONE;
}

function fallsShort(message: string): PortalProblem {
  return { kind: 'falls short', missing: null, message };
}
