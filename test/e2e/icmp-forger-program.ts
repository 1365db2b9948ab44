/**
 * The program of `forge`: sends "unreachable" for datagrams that a client or the node may have sent to an
 * endpoint, one for each port of a range. Any program with CAP_NET_RAW can do this. Its argument is a Forgery
 * as JSON.
 */

import { isIPv6 } from 'node:net';
import { addressBytes } from '../../lib/net/address.js';
import { AF_INET, AF_INET6, SOCK_RAW } from '../../lib/sys/constants.js';
import { checked } from '../../lib/sys/errno.js';
import * as libc from '../../lib/sys/libc.js';
import { Memory } from '../../lib/sys/memory.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { connect } from '../../lib/sys/socket.js';
import { item } from '../lab/items.js';
import type { Forgery } from './icmp-forger.js';

/** linux/in.h: the sender writes the IP header itself. */
const IPPROTO_RAW = 255;
const UDP = 17;
const { says, from, to, endpoint, endpointPort, firstPort, lastPort } = JSON.parse(
  item(process.argv, 2),
) as Forgery;

function bytesOf(...fields: readonly (readonly [size: 1 | 2 | 4, value: number])[]): number[] {
  return fields.flatMap(([size, value]) =>
    Array.from({ length: size }, (_, index) => (value >>> (8 * (size - 1 - index))) & 0xff),
  );
}

function ipHeader(source: string, target: string, protocol: number, length: number): number[] {
  const addresses = [...addressBytes(source), ...addressBytes(target)];
  if (isIPv6(source)) return [...bytesOf([4, 0x60000000], [2, length], [1, protocol], [1, 64]), ...addresses];
  return [...bytesOf([2, 0x4500], [2, 20 + length], [4, 0], [1, 64], [1, protocol], [2, 0]), ...addresses];
}

/** Type and code of ICMP (RFC 792) and ICMPv6 (RFC 4443). */
const UNREACHABLE = {
  'no port': { icmp: [3, 3], icmpV6: [1, 4] },
  'no host': { icmp: [3, 1], icmpV6: [1, 3] },
} as const;

/** RFC 1071. */
function checksum(bytes: readonly number[]): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (item(bytes, at) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function unreachable(port: number): number[] {
  const udp = bytesOf([2, port], [2, endpointPort], [2, 24], [2, 0]);
  const quote = [...ipHeader(to, endpoint, UDP, 24), ...udp, ...new Array(16).fill(0x78)];
  const protocol = isIPv6(to) ? 58 : 1;
  const [type, code] = UNREACHABLE[says][isIPv6(to) ? 'icmpV6' : 'icmp'];
  const length = 8 + quote.length;
  const pseudo = isIPv6(to)
    ? [...addressBytes(from), ...addressBytes(to), ...bytesOf([4, length], [4, protocol])]
    : [];
  const sum = checksum([...pseudo, ...bytesOf([1, type], [1, code], [2, 0], [4, 0]), ...quote]);
  const icmp = [...bytesOf([1, type], [1, code], [2, sum], [4, 0]), ...quote];
  return [...ipHeader(from, to, protocol, length), ...icmp];
}

const fd = checked('socket', libc.socket(isIPv6(to) ? AF_INET6 : AF_INET, SOCK_RAW, IPPROTO_RAW));
checked('connect', connect(fd, SocketAddress.of(to, 0)));
for (let port = firstPort; port <= lastPort; port++) {
  const packet = unreachable(port);
  const memory = new Memory(packet.length);
  memory.bytes.set(packet);
  checked('send', libc.send(fd, memory.address, packet.length, 0));
}
