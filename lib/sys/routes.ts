import { readFileSync } from 'node:fs';
import { addressText } from '../net/address.js';

/** Flag of a route that leads to a router (route(8), flag G). */
const RTF_GATEWAY = 0x2;

/**
 * The CIDRs that this node reaches without a router: ranges on its own links, and ranges that it keeps for
 * itself (blackhole routes). Routes to single addresses are left out, because they change with the pods and
 * tunnels that use them. For IPv4, only the main table is read. Empty if the kernel does not tell.
 */
export function rangesOnLink(): string[] {
  return [
    ...linesOf('/proc/net/route').flatMap(rangeIPv4),
    ...linesOf('/proc/net/ipv6_route').flatMap(rangeIPv6),
  ];
}

function linesOf(path: string): string[][] {
  try {
    return readFileSync(path, 'latin1')
      .trimEnd()
      .split('\n')
      .map((line) => line.trim().split(/\s+/));
  } catch {
    // A kernel without IPv6 has no such file.
    return [];
  }
}

/**
 * Iface, Destination, Gateway, Flags, RefCnt, Use, Metric, Mask (fib_route_seq_show). Addresses are in the
 * byte order of the CPU, which is little-endian on all supported machines.
 */
function rangeIPv4([, destination = '', , flags = '', , , , mask = '']: readonly string[]): string[] {
  const network = Buffer.from(destination, 'hex').reverse();
  const bits = Number.parseInt(mask, 16).toString(2).replaceAll('0', '').length;
  return range(network, bits, flags, 4);
}

/**
 * Destination, its prefix length, source, its prefix length, next hop, metric, two counters, flags,
 * device (fib6_route_seq_show).
 */
function rangeIPv6([destination = '', prefix = '', , , , , , , flags = '']: readonly string[]): string[] {
  return range(Buffer.from(destination, 'hex'), Number.parseInt(prefix, 16), flags, 16);
}

/** Empty for the heading, which has no address. */
function range(network: Buffer, bits: number, flags: string, length: number): string[] {
  if (network.length !== length || bits === length * 8) return [];
  if ((Number.parseInt(flags, 16) & RTF_GATEWAY) !== 0) return [];
  return [`${addressText(network)}/${bits}`];
}
