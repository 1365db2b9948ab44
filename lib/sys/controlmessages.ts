import { IP_PKTINFO, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, IPV6_PKTINFO, UDP_SEGMENT } from './constants.js';
import { cmsgSpace, layout } from './layout.js';

/**
 * Bytes. A control block has room for an IP_PKTINFO or IPV6_PKTINFO message and a second one: the hop limit
 * in a received block, UDP_SEGMENT in a sent block.
 */
export const CONTROL_SIZE = 64;
export const CONTROL_WORDS = CONTROL_SIZE / 4;
const CMSG_DATA_WORD = layout.cmsghdr.data / 4;

/** Word offsets inside a control block with one packet-info message. */
const PACKET_INFO_V4 = { interfaceIndex: CMSG_DATA_WORD, localAddress: CMSG_DATA_WORD + 1 } as const;
const PACKET_INFO_V6 = { localAddress: CMSG_DATA_WORD, interfaceIndex: CMSG_DATA_WORD + 4 } as const;

/**
 * The word where the address that the client used begins. @param at the word where the control block begins
 */
export function usedAddressAt(at: number, isV6: boolean): number {
  return at + (isV6 ? PACKET_INFO_V6.localAddress : PACKET_INFO_V4.localAddress);
}

/**
 * The index of the device by which a received datagram came. What this node has sent itself comes by its
 * loopback device.
 * @param at the word where the control block begins
 */
export function inputDeviceOf(controls: Int32Array, at: number, isV6: boolean): number {
  return controls[at + (isV6 ? PACKET_INFO_V6 : PACKET_INFO_V4).interfaceIndex];
}

/** The loopback device is the first of every network namespace (loopback_net_init in net/core/dev.c). */
export const LOOPBACK_DEVICE = 1;

export const PACKET_INFO_SPACE = { v4: cmsgSpace(12), v6: cmsgSpace(20) } as const;
export const SEGMENT_SPACE = cmsgSpace(2);

/**
 * How many hops a received datagram had left (IP_RECVTTL, IPV6_RECVHOPLIMIT). The kernel writes this message
 * after the packet info (ip_cmsg_recv_offset, ip6_datagram_recv_ctl).
 * @param at the word where the control block begins
 */
export function receivedHopsOf(controls: Int32Array, at: number, isV6: boolean): number {
  return controls[at + (isV6 ? PACKET_INFO_SPACE.v6 : PACKET_INFO_SPACE.v4) / 4 + CMSG_DATA_WORD];
}

export function putControlHeader(
  words: Int32Array,
  at: number,
  length: number,
  level: number,
  type: number,
): void {
  words[at] = layout.cmsghdr.data + length;
  words[at + layout.cmsghdr.level / 4] = level;
  words[at + layout.cmsghdr.type / 4] = type;
}

/**
 * Writes the control block for replies at word `at`: a packet-info message with the source address of the
 * replies, then a message with room for a segment size. The source address is the address that the client
 * used, from the received block at word `from`.
 */
export function writeReplyControl(
  target: Int32Array,
  at: number,
  received: Int32Array,
  from: number,
  isV6: boolean,
): void {
  target.fill(0, at, at + CONTROL_WORDS);
  if (isV6) {
    putControlHeader(target, at, 20, IPPROTO_IPV6, IPV6_PKTINFO);
    for (let word = 0; word < 4; word++) {
      target[at + PACKET_INFO_V6.localAddress + word] = received[from + PACKET_INFO_V6.localAddress + word];
    }
    if (isLinkLocal(received[from + PACKET_INFO_V6.localAddress])) {
      target[at + PACKET_INFO_V6.interfaceIndex] = received[from + PACKET_INFO_V6.interfaceIndex];
    }
  } else {
    putControlHeader(target, at, 12, IPPROTO_IP, IP_PKTINFO);
    target[at + PACKET_INFO_V4.localAddress] = received[from + PACKET_INFO_V4.localAddress];
  }
  const segment = at + (isV6 ? PACKET_INFO_SPACE.v6 : PACKET_INFO_SPACE.v4) / 4;
  putControlHeader(target, segment, 2, IPPROTO_UDP, UDP_SEGMENT);
}

/** fe80::/10, read from a little-endian word in network order. */
function isLinkLocal(word: number): boolean {
  return (word & 0xc0ff) === 0x80fe;
}
