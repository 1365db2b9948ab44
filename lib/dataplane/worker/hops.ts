/** The kernel's default hop limit. Relayed packets never get more, whatever the client has set. */
const MAX_HOPS = 64;

/**
 * How many hops are left from this proxy to the endpoint. The proxy takes one hop, as a router does. If an
 * endpoint leads back here (over another node, a NodePort or a rule), the traffic goes round in a loop. The
 * hops end the loop, as they do in the kernel.
 *
 * The cost is two system calls for each connection (1 us) and one for each flow. To check only clients that
 * have many connections would not do: after the client of a loop has left, the loop never has more than two
 * or three connections open.
 *
 * @param received hops left on arrival
 * @returns 0 if no hop is left
 */
export function hopsOnward(received: number): number {
  return Math.min(received - 1, MAX_HOPS);
}
