import { NONE } from '../model/compact.js';
import type { Portal, Vip } from '../portal/portal.js';
import type { RedirectDriver } from '../redirect/driver.js';
import { noPort } from './listeneropening.js';
import type { PortalProblem } from './portalproblem.js';
import { PortRangeError } from './portpool.js';
import type { ProxyPorts } from './proxyports.js';

export interface ProxyPortContext {
  /** Address that proxy ports bind. */
  readonly bindAddress: { readonly IPv4: string; readonly IPv6: string };
  readonly driver: Pick<RedirectDriver, 'captureOf' | 'unsupported'>;
  readonly ports: ProxyPorts;
}

/** The portal's proxy port. Null where it has none, or where the driver leads to no port. */
export function proxyPortOf(portal: Portal, context: ProxyPortContext): number | null {
  return needsProxyPort(portal, context) ? (context.ports.portOf(portal.key) ?? null) : null;
}

/** Gives the portal a proxy port if it needs one. @returns why it has none */
export function takeProxyPort(portal: Portal, context: ProxyPortContext): readonly PortalProblem[] {
  if (!needsProxyPort(portal, context)) return NONE;
  try {
    context.ports.take(portal);
    return NONE;
  } catch (error) {
    if (error instanceof PortRangeError) return [noPort(error)];
    throw error;
  }
}

/**
 * Gives the portal another proxy port beside the one that it has, see {@link ProxyPorts.move}. A port that
 * the portal does not need is released.
 * @returns whether there is a new one
 */
export function moveProxyPort(portal: Portal, context: ProxyPortContext): boolean {
  if (!needsProxyPort(portal, context)) {
    context.ports.release(portal);
    return false;
  }
  try {
    context.ports.move(portal);
    return true;
  } catch (error) {
    if (error instanceof PortRangeError) return false;
    throw error;
  }
}

/** The places of proxy ports that the portal has moved away from, while redirects may still lead there. */
export function leftListeners(
  { key, family, endpoints }: Portal,
  { ports, bindAddress }: ProxyPortContext,
): Vip[] {
  if (endpoints.length === 0 || !ports.hasLeftPorts) return [];
  return ports.leftBy(key).map((port) => ({ address: bindAddress[family], port }));
}

function needsProxyPort({ family }: Portal, { driver }: ProxyPortContext): boolean {
  return driver.captureOf(family) === 'port' && !driver.unsupported.has(family);
}
