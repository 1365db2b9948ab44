import type { PortalCarriage } from '../dataplane/dataplaneportal.js';
import { NONE } from '../model/compact.js';
import { speaksRtps } from '../portal/policy.js';
import type { Portal, Vip } from '../portal/portal.js';
import type { Redirect } from '../redirect/driver.js';
import type { Carriers } from './carriers.js';
import { areSameVips } from './wantedlisteners.js';

/**
 * The redirect of a portal, as the driver gets it.
 * @param vips the VIPs that can be served
 * @param proxyPort null: the portal has none, or the driver leads to no port
 * @param carriage null: the kernel carries nothing
 */
export function portalRedirect(
  { key, service, portName, protocol, family, policy }: Portal,
  vips: readonly Vip[],
  proxyPort: number | null,
  carriage: PortalCarriage | null,
  carriers: Pick<Carriers, 'queueOf'>,
): Redirect {
  const label = portName === '' ? service : `${service}:${portName}`;
  return {
    id: key,
    label,
    protocol,
    family,
    vips,
    proxyPort: proxyPort ?? 0,
    carriedVips: carriage?.vips ?? NONE,
    // Workers read the datagrams of Services with RTPS annotations, also first ones.
    carried:
      carriage !== null && !speaksRtps(policy)
        ? { queue: carriers.queueOf(protocol, carriage.homeWorker) }
        : null,
  };
}

/** Whether both redirects lead the same traffic to the same proxy port and the same queue. */
export function isSameRedirect(a: Redirect, b: Redirect): boolean {
  return (
    a.proxyPort === b.proxyPort &&
    a.carried?.queue === b.carried?.queue &&
    areSameVips(a.vips, b.vips) &&
    areSameVips(a.carriedVips, b.carriedVips)
  );
}
