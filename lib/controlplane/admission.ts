import { CidrSet } from '../net/cidr.js';
import type { Admission } from '../portal/admission.js';
import type { Portal } from '../portal/portal.js';
import type { Capture } from '../redirect/driver.js';
import { ownAddresses } from './nodeaddresses.js';

const LOOPBACK = { IPv4: '127.0.0.0/8', IPv6: '::1/128' } as const;

/**
 * A portal's admission on this node at this moment. The node itself always counts as an insider. If VIPs are
 * addresses of the node (capture `address`), a program of the node that connects to a VIP has the VIP as its
 * source address. As in kube-proxy, it is then let in if another address of the node is let in.
 */
export function nodeAdmission({ admission, family, vips }: Portal, capture: Capture): Admission {
  const { sources, insiders } = admission;
  if (sources === null && insiders === null) return admission;
  const own = ownAddresses(family);
  const ownVips = capture === 'address' ? vips.map(({ address }) => address) : [];
  return {
    sources: sources && [...sources, ...(isAnyIn(own, sources) ? ownVips : [])],
    insiders: insiders && {
      ...insiders,
      sources: [...insiders.sources, LOOPBACK[family], ...own, ...ownVips],
    },
  };
}

/** Finds the ids by which workers know portals. */
export interface PortalIdLookup {
  /** The id of the portal with this key. */
  idOf(key: string): number | undefined;
}

/**
 * A portal's admission as workers get it.
 * @param portal its latest version, as the key of the insiders' portal may have changed since `admission` was
 * made
 */
export function admissionByIds(
  { sources, insiders }: Admission,
  { admission }: Portal,
  ids: PortalIdLookup,
): Admission<number> {
  const portal = ids.idOf(admission.insiders?.portal ?? '');
  return { sources, insiders: insiders === null || portal === undefined ? null : { ...insiders, portal } };
}

function isAnyIn(addresses: readonly string[], cidrs: readonly string[]): boolean {
  const ranges = new CidrSet(cidrs);
  return addresses.some((address) => ranges.has(address));
}
