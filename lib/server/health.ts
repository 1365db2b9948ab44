import { type Answer, json, type Routes, text } from './http.js';

/** What the health checks ask. */
export interface HealthSource {
  /** Whether every portal known at start is in service, and the program is not on its way out. */
  isReady(): boolean;
  /** When the last change of Services or endpoints took effect; null before the first. */
  lastUpdated(): Date | null;
}

/**
 * `/healthz` for load balancers and readiness probes, with kube-proxy's answer, so that what reads
 * kube-proxy's port 10256 can read this one; `/livez` for liveness probes, which must not restart a
 * program that only waits for its portals.
 */
export function healthRoutes(source: HealthSource): Routes {
  return {
    '/healthz': () => health(source),
    '/livez': () => text('ok\n'),
  };
}

function health(source: HealthSource): Answer {
  const ready = source.isReady();
  const body = {
    lastUpdated: source.lastUpdated(),
    currentTime: new Date(),
    nodeEligible: ready,
  };
  return json(body, ready ? 200 : 503);
}
