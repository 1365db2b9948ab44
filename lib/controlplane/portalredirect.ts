import { NONE } from '../model/compact.js';
import type { Portal, Vip } from '../portal/portal.js';
import type { Redirect } from '../redirect/driver.js';
import { areSameVips } from './wantedlisteners.js';

/**
 * The redirect of a portal, as the driver gets it.
 * @param vips the VIPs that can be served
 * @param proxyPort null: the portal has none, or the driver leads to no port
 */
export function portalRedirect(
  { key, service, portName, protocol, family }: Portal,
  vips: readonly Vip[],
  proxyPort: number | null,
): Redirect {
  const label = portName === '' ? service : `${service}:${portName}`;
  return {
    id: key,
    label,
    protocol,
    family,
    vips,
    proxyPort: proxyPort ?? 0,
    carriedVips: NONE,
    carried: null,
  };
}

/** Whether both redirects lead the same VIPs to the same proxy port. */
export function isSameRedirect(a: Redirect, b: Redirect): boolean {
  return a.proxyPort === b.proxyPort && areSameVips(a.vips, b.vips);
}
