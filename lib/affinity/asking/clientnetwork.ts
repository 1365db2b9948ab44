import { closeSync } from 'node:fs';
import { type Family, familyOf } from '../../net/address.js';
import { EEXIST, EOPNOTSUPP, EPERM, SysError } from '../../sys/errno.js';
import { Links } from '../../sys/netlink/links.js';
import { enterNewNetwork } from '../../sys/networknamespace.js';

/** The loopback device has this number in every network namespace (LOOPBACK_IFINDEX). */
const LOOPBACK_INDEX = 1;
/** Addresses of the locally administered kind (IEEE 802c). No other device is on the wire between the two. */
const NODE_MAC = [0x02, 0x6b, 0x70, 0x00, 0x00, 0x01];
const CLIENT_MAC = [0x02, 0x6b, 0x70, 0x00, 0x00, 0x02];
/**
 * Addresses of the node's end. The REDIRECT of iptables sends a packet to the address of the device that it
 * came in by, and drops it where there is none (nf_nat_redirect.c).
 */
const NODE_ADDRESS: Readonly<Record<Family, string>> = { IPv4: '169.254.107.112', IPv6: 'fd6b:70::1' };

/**
 * Moves the calling thread into a network namespace of its own that has the clients' addresses, joined to the
 * node by a pair of devices. The node gets one device with an address of the link's scope, and a route to it
 * for each client: no rule, and no setting. Neighbours are fixed, so that nothing depends on ARP.
 *
 * The kernel takes all of it away at the end of the thread, or of the process, however it ends.
 *
 * @param target the only address that clients can send to
 * @throws Error that says what is missing, or which address cannot be used
 */
export function bringUpClients(addresses: readonly string[], target: string): void {
  try {
    joinToNode(addresses, target);
  } catch (error) {
    throw error instanceof SysError ? new Error(explain(error)) : error;
  }
}

function explain({ call, code, message }: SysError): string {
  switch (code) {
    case EPERM:
      return 'client addresses need root (CAP_SYS_ADMIN and CAP_NET_ADMIN): run as root, or leave out --clients';
    case EEXIST:
      return `${call}: this node has it already; give client addresses that nobody uses`;
    case EOPNOTSUPP:
      return 'this kernel has no veth devices, which client addresses need; leave out --clients';
    default:
      return `the client addresses could not be brought up: ${message}`;
  }
}

function joinToNode(addresses: readonly string[], target: string): void {
  const node = new Links();
  const namespace = enterNewNetwork();
  const own = new Links();
  try {
    const nodeEnd = { name: `kpclients${process.pid % 100_000}`, mac: NODE_MAC };
    const clientEnd = { name: 'eth0', mac: CLIENT_MAC };
    node.createPair(nodeEnd, clientEnd, namespace);
    prepareClients(own, addresses, target);
    const index = node.indexOf(nodeEnd.name);
    node.turnOn(index);
    node.addAddresses(index, [NODE_ADDRESS[familyOf(target)]]);
    // Routes come last: this node may still have packets for clients of an earlier run, and would look for
    // neighbours by itself.
    node.addNeighbours(index, addresses, CLIENT_MAC);
    node.addRoutes(index, addresses);
  } finally {
    node.close();
    own.close();
    closeSync(namespace);
  }
}

/** The default route is for answers that do not come from the target: the kernel may check their way back. */
function prepareClients(links: Links, addresses: readonly string[], target: string): void {
  const index = links.indexOf('eth0');
  links.turnOn(LOOPBACK_INDEX);
  links.turnOn(index);
  links.addAddresses(index, addresses);
  links.addNeighbours(index, [target], NODE_MAC);
  links.addDefaultRoute(index, target);
}
