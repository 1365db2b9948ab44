import { type Answer, json } from './answer.js';
import type { Routes } from './route.js';

/** What the health checks ask. */
export interface HealthSource {
  /**
   * Whether every portal known at start that can be had is in service, changes take effect, and the program
   * is not on its way out.
   */
  isReady(): boolean;
  /** False while the node is about to be deleted. */
  isNodeEligible(): boolean;
  /** When the last change of Services or endpoints took effect; null before the first. */
  lastUpdated(): Date | null;
}

/**
 * `/healthz` for load balancers and readiness probes, with kube-proxy's answer, so that what reads
 * kube-proxy's port 10256 can read this one; `/livez` for liveness probes, which must not restart a
 * program that only waits for its portals or for its node's end.
 */
export function healthRoutes(source: HealthSource): Routes {
  return {
    '/healthz': () => health(source),
    '/livez': () => json(report(source, true)),
  };
}

/** kube-proxy's KEP-3836: a node that is about to go takes no new connections through load balancers. */
function health(source: HealthSource): Answer {
  const ready = source.isReady();
  const nodeEligible = source.isNodeEligible();
  return json({ ...report(source, ready), nodeEligible }, ready && nodeEligible ? 200 : 503);
}

function report(source: HealthSource, healthy: boolean): object {
  return { lastUpdated: source.lastUpdated(), currentTime: new Date(), healthy };
}
