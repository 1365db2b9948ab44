/** What the kernel gives packets by default: nothing that arrives may go further, whatever it came with. */
const MOST = 64;

/**
 * How many hops are left from a client to the endpoint. The proxy counts as a router does: an endpoint that
 * leads back here, over whatever other node, NodePort or rule, makes a circle, and ends as it does in the
 * kernel.
 *
 * It takes two system calls a connection (1 us) and one a flow. It is not enough to count for clients that
 * have many connections: in a circle whose client has left, no more than two or three connections are open at
 * any time.
 *
 * @param received hops left on arrival
 * @returns 0 where none is left
 */
export function hopsOnward(received: number): number {
  return Math.min(received - 1, MOST);
}
