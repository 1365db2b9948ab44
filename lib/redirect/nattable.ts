import { addressBytes, addressText } from '../net/address.js';
import { hostPort } from '../net/hostport.js';
import type { Redirect } from './driver.js';
import { keyOf } from './key.js';
import type { RedirectTree } from './redirecttree.js';
import { type Features, vipRule } from './rules.js';
import type { Entry } from './ruletree.js';
import type { TreeTable } from './treetable.js';

/** For packets that come from pods and other hosts. */
const CONTAINER_CHAIN = 'KUBE-PORTALS-CONTAINER';
/** For packets that programs of this node send. */
const HOST_CHAIN = 'KUBE-PORTALS-HOST';

/**
 * The target that sends a packet to a proxy port. REDIRECT sends it to the address of the interface on which
 * it came in, where a wildcard listener answers. A listener on one address needs DNAT.
 */
export function proxyTarget(bindAddress: string, port: number): string {
  const bytes = addressBytes(bindAddress);
  if (bytes.every((byte) => byte === 0)) return `-j REDIRECT --to-ports ${port}`;
  return `-j DNAT --to-destination ${hostPort(addressText(bytes), port)}`;
}

/**
 * The rules that send the VIPs of a redirect to its proxy port.
 * @throws TypeError if a VIP is not an address
 */
export function natEntries(redirect: Redirect, bindAddress: string, features: Features): readonly Entry[] {
  const { id, protocol, vips, proxyPort } = redirect;
  return vips.map((vip) => ({
    key: keyOf(vip.address, protocol, vip.port),
    id,
    rule: vipRule(redirect, vip, features, proxyTarget(bindAddress, proxyPort)),
  }));
}

export function natTable(vips: RedirectTree): TreeTable {
  const entrance = vips.entrance();
  const chains = vips.chains().with(
    new Map([
      [CONTAINER_CHAIN, entrance],
      [HOST_CHAIN, entrance],
    ]),
  );
  const hooks = new Map([
    ['PREROUTING', [`-j ${CONTAINER_CHAIN}`]],
    ['OUTPUT', [`-j ${HOST_CHAIN}`]],
  ]);
  return { chains, hooks };
}
