import {
  AF_INET6,
  IP_MULTICAST_TTL,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_MULTICAST_HOPS,
  IPV6_UNICAST_HOPS,
} from './constants.js';
import { findOption, preferOption } from './options.js';

const MAX_HOPS = 255;

/**
 * How many hops the peer's packets had left on arrival (TTL, hop limit). The kernel stores the value of the
 * handshake in the multicast limit of the accepted socket (tcp_v4_syn_recv_sock, tcp_v6_syn_recv_sock). TCP
 * does not use that limit for anything else.
 * @returns 1 to 255; 255 if the kernel does not tell
 */
export function receivedHops(fd: number, family: number): number {
  const hops =
    family === AF_INET6
      ? findOption(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS)
      : findOption(fd, IPPROTO_IP, IP_MULTICAST_TTL);
  return hops ?? MAX_HOPS;
}

/** Sets how many hops packets may take. @param hops 1 to 255 */
export function setHops(fd: number, family: number, hops: number): void {
  if (family === AF_INET6) preferOption(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, hops);
  else preferOption(fd, IPPROTO_IP, IP_TTL, hops);
}
