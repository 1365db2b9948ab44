import { CidrSet } from '../net/cidr.js';
import type { Admission } from '../portal/admission.js';
import type { Portal } from '../portal/portal.js';
import type { Capture } from '../redirect/driver.js';
import { ownAddresses } from './nodeaddresses.js';

const LOOPBACK = { IPv4: '127.0.0.0/8', IPv6: '::1/128' } as const;

/**
 * A portal's rules as they read on this node at this moment: the node itself is always inside. Where VIPs are
 * addresses of the node (capture `address`), its own programs come from the VIP they go to; as in kube-proxy
 * they are then let in if the node's other addresses are.
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

/** How workers know portals. */
export interface PortalIds {
  /** The id of the portal with a key. */
  idOf(key: string): number | undefined;
}

/**
 * A portal's admission as workers read it.
 * @param portal its latest version: the portal of the insiders may have got another key since the ranges
 * were made
 */
export function admissionByIds(
  { sources, insiders }: Admission,
  { admission }: Portal,
  ids: PortalIds,
): Admission<number> {
  const portal = ids.idOf(admission.insiders?.portal ?? '');
  return { sources, insiders: insiders === null || portal === undefined ? null : { ...insiders, portal } };
}

function isAnyIn(addresses: readonly string[], cidrs: readonly string[]): boolean {
  const ranges = new CidrSet(cidrs);
  return addresses.some((address) => ranges.has(address));
}
