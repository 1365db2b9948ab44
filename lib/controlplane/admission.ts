import type { Portal } from '../model/portal.js';
import { ownAddresses, rangesOf } from './nodeaddresses.js';

/** Who may use a portal, as CIDRs and plain addresses. */
export interface NodeAdmission {
  /** Null lets everyone in. */
  readonly sources: readonly string[] | null;
  /** Clients that another portal serves; null where there are none. */
  readonly insiders: readonly string[] | null;
}

const LOOPBACK = { IPv4: '127.0.0.0/8', IPv6: '::1/128' } as const;

/**
 * A portal's rules as they read on this node at this moment: the node itself is always inside. Where VIPs are addresses of
 * the node (capture `address`), its own programs come from the VIP they go to; as in kube-proxy they are then let in if the
 * node's other addresses are.
 */
export function nodeAdmission(
  { sources, insiders, family, vips }: Portal,
  capture: 'port' | 'address',
): NodeAdmission {
  if (sources === null && insiders === null) return { sources, insiders };
  const own = ownAddresses(family);
  const ownVips = capture === 'address' ? vips.map(({ address }) => address) : [];
  return {
    sources: sources && [...sources, ...(isAnyIn(own, sources) ? ownVips : [])],
    insiders: insiders && [...insiders.sources, LOOPBACK[family], ...own, ...ownVips],
  };
}

function isAnyIn(addresses: readonly string[], cidrs: readonly string[]): boolean {
  const ranges = rangesOf(cidrs);
  return addresses.some((address) => ranges.check(address, address.includes(':') ? 'ipv6' : 'ipv4'));
}
