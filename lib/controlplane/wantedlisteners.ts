import type { Neighbours } from '../dataplane/listeners.js';
import { WILDCARD } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import type { Portal, Vip } from '../portal/portal.js';
import type { NodeAddresses } from './nodeaddresses.js';
import type { PublicPorts } from './publicports.js';

/** A place that a portal wants to listen on. */
export interface WantedListener {
  readonly address: string;
  readonly port: number;
  readonly kind: 'proxyPort' | 'vip' | 'nodePort';
}

/** What decides where portals listen on this node. */
export interface ListenerContext {
  readonly capture: 'port' | 'address';
  readonly bindAddress: { readonly IPv4: string; readonly IPv6: string };
  readonly nodeAddresses: NodeAddresses;
  readonly publicPorts: PublicPorts;
  /** Whether some portal has this place among its VIPs. Looks at all. */
  isVip(protocol: Protocol, place: Vip): boolean;
}

/**
 * Where clients of the VIPs come to.
 * @param proxyPort null where there is none
 */
export function listenersForVips(
  { family, vips }: Portal,
  proxyPort: number | null,
  { capture, bindAddress }: ListenerContext,
): WantedListener[] {
  if (capture === 'address') return vips.map((vip) => ({ ...vip, kind: 'vip' }));
  return proxyPort === null ? [] : [{ address: bindAddress[family], port: proxyPort, kind: 'proxyPort' }];
}

/** Where a VIP has the same place as a NodePort it comes first, as a redirect would. */
export function listenersForNodePort(portal: Portal, context: ListenerContext): WantedListener[] {
  const { nodePort, family, protocol } = portal;
  if (nodePort === null) return [];
  const wanted = context.nodeAddresses
    .of(family)
    .map((address) => ({ address, port: nodePort, kind: 'nodePort' as const }));
  if (!hasVipsBeside(protocol, nodePort, context)) return wanted;
  return wanted.filter((one) => one.address === WILDCARD[family] || !context.isVip(protocol, one));
}

/** Which other listeners may have the same port. */
export function neighboursOf(
  { kind, port }: WantedListener,
  protocol: Protocol,
  context: ListenerContext,
): Neighbours {
  if (kind === 'vip') return 'any';
  return kind === 'nodePort' && hasVipsBeside(protocol, port, context) ? 'own' : 'none';
}

/** Whether a listener of one of our VIPs may have this port. */
function hasVipsBeside(protocol: Protocol, port: number, { capture, publicPorts }: ListenerContext): boolean {
  return capture === 'address' && publicPorts.isVipPort(protocol, port);
}

export function samePlace(a: Vip, b: Vip): boolean {
  return a.port === b.port && a.address === b.address;
}
