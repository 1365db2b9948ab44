import { NONE } from '../model/compact.js';
import { WILDCARD } from '../net/address.js';
import type { Protocol } from '../net/protocol.js';
import type { Portal, PortalVip, Vip } from '../portal/portal.js';
import type { Carriers } from './carriers.js';
import type { NodeAddresses } from './nodeaddresses.js';
import type { PortalProblem } from './portalproblem.js';
import type { PublicPorts } from './publicports.js';

export interface CarriedContext {
  readonly carriers: Pick<Carriers, 'mayCarry' | 'mayTakeOver' | 'masqueradesAll'>;
  readonly nodeAddresses: NodeAddresses;
  readonly publicPorts: PublicPorts;
  /** Whether a portal has a VIP with this address and port. Looks at all portals. */
  isVip(protocol: Protocol, place: Vip): boolean;
}

/**
 * The addresses and ports of a portal whose traffic the kernel may carry at this moment, or take over from
 * the relay. Null: none.
 * @param problems of the portal's listeners
 */
export function carriedVips(
  portal: Portal,
  context: CarriedContext,
  problems: readonly PortalProblem[],
): readonly PortalVip[] | null {
  const { carriers } = context;
  if (!carriers.mayCarry(portal) && !carriers.mayTakeOver(portal)) return null;
  const nodePorts = nodePortVips(portal, context).filter(
    ({ address }) => !isNodePortMissing(portal, address, problems),
  );
  // Nearly all portals share the list that they have already.
  const vips = nodePorts.length === 0 ? portal.vips : [...portal.vips, ...nodePorts];
  return carriers.masqueradesAll ? vips.map(masquerading) : vips;
}

/** A ClusterIP as kube-proxy's --masquerade-all has it: it concerns no other VIP. */
function masquerading(vip: PortalVip): PortalVip {
  return vip.masquerade === 'off-cluster' ? { ...vip, masquerade: 'always' } : vip;
}

/** A VIP takes precedence over a NodePort with the same address and port. */
function nodePortVips(
  { family, protocol, nodePort, nodePortMasquerade }: Portal,
  { nodeAddresses, publicPorts, isVip }: CarriedContext,
): readonly PortalVip[] {
  if (nodePort === null) return NONE;
  const vips = nodeAddresses
    .single(family)
    .map((address) => ({ address, port: nodePort, masquerade: nodePortMasquerade }));
  return publicPorts.isVipPort(protocol, nodePort) ? vips.filter((vip) => !isVip(protocol, vip)) : vips;
}

/** Whether the NodePort has no listener at an address of the node: another program may have it there. */
function isNodePortMissing({ family }: Portal, address: string, problems: readonly PortalProblem[]): boolean {
  return problems.some(
    ({ missing }) =>
      missing?.kind === 'nodePort' && (missing.address === address || missing.address === WILDCARD[family]),
  );
}

/** Whether both lists are the same, with their masquerade. */
export function areSameCarried(a: readonly PortalVip[] | null, b: readonly PortalVip[] | null): boolean {
  if (a === b) return true;
  if (a === null || b === null || a.length !== b.length) return false;
  return a.every((vip, index) => isSameCarried(vip, b[index]));
}

function isSameCarried(a: PortalVip, b: PortalVip | undefined): boolean {
  return a.address === b?.address && a.port === b.port && a.masquerade === b.masquerade;
}
