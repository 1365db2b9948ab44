import { changedChecksum, checksumOf, sumOfBytes } from '../net/checksum.js';
import type { PacketHeaders } from '../net/packet.js';
import { AF_INET6, IPPROTO_UDP } from './constants.js';
import type { Memory } from './memory.js';
import type { SocketAddress } from './sockaddr.js';
import { addressAt, addressWords } from './sockaddrwords.js';

/** Bytes. */
const IPV4_SIZE = 20;
const IPV6_SIZE = 40;
const UDP_SIZE = 8;
/** Bytes from an IPv4 source address back to the checksum of the header. */
const IPV4_CHECKSUM_BEFORE = 2;
/** Byte of the source address in an IP header. The destination address follows it. */
const IPV4_ADDRESSES = 12;
const IPV6_ADDRESSES = 8;
/** Version 4, a header of five words, no type of service; version 6, no traffic class, no flow label. */
const IPV4_START = 0x45000000;
const IPV6_START = 0x60000000;

/**
 * Writes the IP header and the UDP header of a datagram into a block, from byte `at` on, a multiple of 4. The
 * UDP checksum is real: network devices do not add one to the packets of a raw socket.
 * @param hops how many hops the packet may take, 1 to 255
 * @param length bytes of data from byte `start` of another block on
 * @returns bytes of both headers
 */
export function putHeaders(
  packet: Memory,
  at: number,
  source: SocketAddress,
  destination: SocketAddress,
  hops: number,
  payload: Memory,
  start: number,
  length: number,
): number {
  const { view } = packet;
  const size = UDP_SIZE + length;
  const isV6 = source.family === AF_INET6;
  const udpAt = isV6 ? putIPv6(view, at, size, hops) : putIPv4(view, at, size, hops);
  const addresses = at + (isV6 ? IPV6_ADDRESSES : IPV4_ADDRESSES);
  putAddress(packet, putAddress(packet, addresses, source, isV6), destination, isV6);
  view.setUint16(udpAt, source.port);
  view.setUint16(udpAt + 2, destination.port);
  view.setUint16(udpAt + 4, size);
  view.setUint16(udpAt + 6, 0);
  // Behind the two addresses there is only the UDP header. The sum also has the protocol and the size, which
  // stand for the pseudo header (RFC 768, RFC 8200 8.1).
  const sum = sumOfBytes(view, addresses, udpAt + UDP_SIZE - addresses) + IPPROTO_UDP + size;
  view.setUint16(udpAt + 6, checksumOf(sum + sumOfBytes(payload.view, start, length)));
  return udpAt + UDP_SIZE - at;
}

/**
 * Gives a datagram in memory another destination. Checksums that were wrong stay wrong.
 * @param headers of the datagram, which is whole
 * @param to of the datagram's family
 * @param hasChecksum whether the UDP checksum is there. If not, it is made
 */
export function replaceDestination(
  packet: Memory,
  headers: PacketHeaders,
  to: SocketAddress,
  hasChecksum: boolean,
): void {
  const { view } = packet;
  const { isV6, addressLength, sourceAt, destinationAt, transportAt } = headers;
  const before = sumOfBytes(view, destinationAt, addressLength);
  putAddress(packet, destinationAt, to, isV6);
  const added = sumOfBytes(view, destinationAt, addressLength) - before;
  view.setUint16(transportAt + 2, to.port);
  if (!isV6) addToChecksum(view, sourceAt - IPV4_CHECKSUM_BEFORE, added);
  if (!hasChecksum) putChecksum(view, headers);
  // 0: the sender has made none (RFC 768).
  else if (view.getUint16(transportAt + 6) !== 0)
    addToChecksum(view, transportAt + 6, added + to.port - headers.destinationPort);
}

/** Makes the UDP checksum, with the pseudo header (RFC 768, RFC 8200 8.1). */
function putChecksum(view: DataView, { sourceAt, addressLength, transportAt, end }: PacketHeaders): void {
  const size = end - transportAt;
  view.setUint16(transportAt + 6, 0);
  const addresses = sumOfBytes(view, sourceAt, 2 * addressLength);
  view.setUint16(
    transportAt + 6,
    checksumOf(addresses + IPPROTO_UDP + size + sumOfBytes(view, transportAt, size)),
  );
}

/** @param added what the bytes under the checksum have more than before. It may be negative */
function addToChecksum(view: DataView, at: number, added: number): void {
  view.setUint16(at, changedChecksum(view.getUint16(at), added));
}

/**
 * The kernel sets identification and checksum (raw(7), IP_HDRINCL). Without "don't fragment", the packet is
 * divided where an MTU is smaller.
 * @returns the byte behind the header
 */
function putIPv4(view: DataView, at: number, size: number, hops: number): number {
  view.setUint32(at, IPV4_START | (IPV4_SIZE + size));
  view.setUint32(at + 4, 0);
  view.setUint32(at + 8, (hops << 24) | (IPPROTO_UDP << 16));
  return at + IPV4_SIZE;
}

/** @returns the byte behind the header */
function putIPv6(view: DataView, at: number, size: number, hops: number): number {
  view.setUint32(at, IPV6_START);
  view.setUint32(at + 4, (size << 16) | (IPPROTO_UDP << 8) | hops);
  return at + IPV6_SIZE;
}

/** @returns the byte behind the address */
function putAddress({ words }: Memory, at: number, { memory }: SocketAddress, isV6: boolean): number {
  const from = addressAt(0, isV6);
  const count = addressWords(isV6);
  for (let word = 0; word < count; word++) words[at / 4 + word] = memory.words[from + word];
  return at + 4 * count;
}
