import { type HttpAnswer, json } from './answer.js';
import type { Routes } from './route.js';

/** The state that the health checks read. */
export interface HealthSource {
  /** See Readiness. False when the program stops. */
  isReady(): boolean;
  /** False while the node is about to be deleted. */
  isNodeEligible(): boolean;
  /** When the last change of Services or endpoints took effect. Null before the first change. */
  lastUpdated(): Date | null;
}

/**
 * `/healthz` is for load balancers and readiness probes. Its answer is kube-proxy's, so that clients of
 * kube-proxy's port 10256 work. `/livez` is for liveness probes and always answers 200: a program that waits
 * for portals, or whose node will be deleted, must not be restarted.
 */
export function healthRoutes(source: HealthSource): Routes {
  return {
    '/healthz': () => health(source),
    '/livez': () => json(report(source, true)),
  };
}

/** As in kube-proxy (KEP-3836), load balancers send no new connections to a node that will be deleted. */
function health(source: HealthSource): HttpAnswer {
  const ready = source.isReady();
  const nodeEligible = source.isNodeEligible();
  return json({ ...report(source, ready), nodeEligible }, ready && nodeEligible ? 200 : 503);
}

function report(source: HealthSource, healthy: boolean): object {
  return { lastUpdated: source.lastUpdated(), currentTime: new Date(), healthy };
}
