import type { Masquerade } from '../../../portal/portal.js';
import { AF_INET6 } from '../../../sys/constants.js';
import type { Route } from '../../../sys/netlink/routequery.js';
import type { SocketAddress } from '../../../sys/sockaddr.js';
import type { Target } from '../target.js';
import type { KernelNode } from './node.js';

/**
 * The node's address that takes the place of a client's; null if the endpoint is to see the client.
 * kube-proxy decides so in its rules (KUBE-MARK-MASQ, proxier.go). It does not look at devices. An endpoint
 * that is a neighbour of its client answers it past the node, and the client knows no such server; so it is
 * shown the node.
 *
 * @param client its sockaddr begins at word `at`
 * @param inputDevice index of the device by which its packets come; 0: a program of this node
 * @param route the way to the target
 */
export function sourceFor(
  client: Int32Array,
  at: number,
  masquerade: Masquerade,
  inputDevice: number,
  target: Target,
  route: Route,
  node: KernelNode,
): SocketAddress | null {
  const isV6 = target.address.family === AF_INET6;
  const isDue =
    masquerade === 'always' ||
    inputDevice === 0 ||
    (masquerade === 'off-cluster' && node.isOffCluster(client, at, isV6)) ||
    (inputDevice === route.device && !(node.seesBridged(isV6) && node.paths.isByBridge(target)));
  return isDue ? route.source : null;
}
