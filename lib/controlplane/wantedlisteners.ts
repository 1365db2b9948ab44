import type { Neighbours } from '../dataplane/listeners.js';
import { WILDCARD } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import type { Portal, Vip } from '../portal/portal.js';
import type { RedirectDriver } from '../redirect/driver.js';
import type { NodeAddresses } from './nodeaddresses.js';
import type { PublicPorts } from './publicports.js';

/** An address and port on which a portal wants to listen. */
export interface WantedListener {
  readonly address: string;
  readonly port: number;
  readonly kind: 'proxyPort' | 'vip' | 'nodePort';
}

/** What decides where portals listen on this node. */
export interface ListenerContext {
  readonly driver: Pick<RedirectDriver, 'captureOf' | 'unsupported'>;
  readonly bindAddress: { readonly IPv4: string; readonly IPv6: string };
  readonly nodeAddresses: NodeAddresses;
  readonly publicPorts: PublicPorts;
  /** Whether a portal has a VIP with this address and port. Looks at all portals. */
  isVip(protocol: Protocol, place: Vip): boolean;
}

/**
 * The places where a portal should listen now. Without endpoints it has no listeners: the kernel refuses
 * clients at once. If clients must be ignored, a listener ignores them.
 * @param proxyPort null: the portal has none
 */
export function wantedListeners(
  portal: Portal,
  proxyPort: number | null,
  context: ListenerContext,
): WantedListener[] {
  if (portal.endpoints.length === 0 && portal.unserved === 'refuse') return [];
  return [...listenersForVips(portal, proxyPort, context), ...listenersForNodePort(portal, context)];
}

/** The places to which clients of the VIPs come. */
function listenersForVips(
  { family, vips }: Portal,
  proxyPort: number | null,
  { driver, bindAddress }: ListenerContext,
): WantedListener[] {
  if (driver.unsupported.has(family)) return [];
  if (driver.captureOf(family) === 'address') return vips.map((vip) => ({ ...vip, kind: 'vip' }));
  return proxyPort === null ? [] : [{ address: bindAddress[family], port: proxyPort, kind: 'proxyPort' }];
}

/** A VIP takes precedence over a NodePort with the same address and port, as a redirect would. */
function listenersForNodePort(portal: Portal, context: ListenerContext): WantedListener[] {
  const { nodePort, family, protocol } = portal;
  if (nodePort === null) return [];
  const wanted = context.nodeAddresses
    .of(family)
    .map((address) => ({ address, port: nodePort, kind: 'nodePort' as const }));
  if (!hasVipsBeside(portal, nodePort, context)) return wanted;
  return wanted.filter((one) => one.address === WILDCARD[family] || !context.isVip(protocol, one));
}

/** Which other listeners may have the same port on other addresses. */
export function neighboursOf(
  { kind, port }: WantedListener,
  portal: Pick<Portal, 'protocol' | 'family'>,
  context: ListenerContext,
): Neighbours {
  if (kind === 'vip') return 'any';
  return kind === 'nodePort' && hasVipsBeside(portal, port, context) ? 'own' : 'none';
}

/** Whether a listener of one of our VIPs may have this port. */
function hasVipsBeside(
  { protocol, family }: Pick<Portal, 'protocol' | 'family'>,
  port: number,
  { driver, publicPorts }: ListenerContext,
): boolean {
  return driver.captureOf(family) === 'address' && publicPorts.isVipPort(protocol, port);
}

export function isSamePlace(a: Vip, b: Vip): boolean {
  return a.port === b.port && a.address === b.address;
}

export function areSameVips(a: readonly Vip[], b: readonly Vip[]): boolean {
  if (a.length !== b.length) return false;
  return a === b || b.every((vip, index) => a[index] !== undefined && isSamePlace(a[index], vip));
}
