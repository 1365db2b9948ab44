import { AF_INET, AF_INET6 } from '../constants.js';
import { type Attributes, attribute, type Encoded, nested, uint8, uint16, uint32 } from './attributes.js';
import { netfilterAttributes } from './nfnetlink.js';
import {
  type AddressPort,
  addressFamilyOf,
  decodeTuple,
  encodeTuple,
  inverse,
  isSameEnd,
  type Tuple,
} from './tuple.js';

/** linux/netfilter/nfnetlink_conntrack.h: enum cntl_msg_types; the upper byte is NFNL_SUBSYS_CTNETLINK. */
export const CT_NEW = 0x100;
export const CT_GET = 0x101;
export const CT_DELETE = 0x102;

/** The same header: enum ctattr_type, ctattr_protoinfo, ctattr_nat. */
export const CTA_TUPLE_ORIG = 1;
export const CTA_TUPLE_REPLY = 2;
export const CTA_STATUS = 3;
export const CTA_PROTOINFO = 4;
export const CTA_NAT_SRC = 6;
export const CTA_TIMEOUT = 7;
export const CTA_MARK = 8;
export const CTA_COUNTERS_ORIG = 9;
export const CTA_COUNTERS_REPLY = 10;
export const CTA_ID = 12;
export const CTA_NAT_DST = 13;
const CTA_ZONE = 18;
export const CTA_PROTOINFO_TCP = 1;
export const CTA_PROTOINFO_TCP_STATE = 1;
/** CTA_NAT_V4_MINIP and CTA_NAT_V4_MAXIP, and the same for IPv6. */
export const CTA_NAT_IP = { [AF_INET]: [1, 2], [AF_INET6]: [4, 5] } as const;
export const CTA_NAT_PROTO = 3;
export const CTA_PROTONAT_PORT_MIN = 1;
const CTA_PROTONAT_PORT_MAX = 2;
export const CTA_COUNTERS_PACKETS = 1;
export const CTA_COUNTERS_BYTES = 2;

/** Bits of a flow's status: linux/netfilter/nf_conntrack_common.h. */
export const STATUS = {
  /** Packets were seen in both directions. */
  seenReply: 1 << 1,
  /** If the table is full, the kernel drops flows without this bit first. */
  assured: 1 << 2,
  /** The flow is in the table. Without this bit the kernel refuses to create a flow (EBUSY). */
  confirmed: 1 << 3,
} as const;

/** States of a TCP connection: enum tcp_conntrack of linux/netfilter/nf_conntrack_tcp.h. */
export const TCP_STATE = {
  synSent: 1,
  synReceived: 2,
  established: 3,
  finWait: 4,
  closeWait: 5,
  lastAck: 6,
  timeWait: 7,
  close: 8,
} as const;

/**
 * A TCP connection or UDP flow that the kernel tracks. Without translation, the tuple of the answers is the
 * inverse of the original tuple. With translation, its source is the address to which the packets really go,
 * and its destination is the address from which they seem to come.
 */
export interface Flow {
  readonly original: Tuple;
  readonly reply: Tuple;
  /** Bits of {@link STATUS}, and other bits of the kernel. */
  readonly status: number;
  /**
   * Seconds until the kernel drops the flow if no packet comes. The first packet sets the kernel's own value.
   */
  readonly timeout: number;
  /** 0: no mark, also if the kernel has no marks (CONFIG_NF_CONNTRACK_MARK). */
  readonly mark: number;
  /** A value of {@link TCP_STATE}, or of a later state. Null for UDP, or if the kernel did not tell it. */
  readonly tcpState: number | null;
}

/** What a flow has carried so far. Bytes are those of whole IP packets, headers included. */
export interface FlowCounters {
  /** In the original direction: from the client. */
  readonly packetsIn: number;
  readonly bytesIn: number;
  readonly packetsOut: number;
  readonly bytesOut: number;
}

/** A flow in the kernel's table. */
export interface TrackedFlow extends Flow {
  /** Number of the flow. A later flow with the same addresses and ports has another id. */
  readonly id: number;
  /** The conntrack zone of both directions. 0: none. */
  readonly zone: number;
  /** Null if the flow began while net.netfilter.nf_conntrack_acct was off. */
  readonly counters: FlowCounters | null;
}

/** Reads a flow from a message. Null for protocols other than TCP and UDP. @throws SysError with EBADMSG */
export function decodeFlow(body: DataView): TrackedFlow | null {
  const attributes = netfilterAttributes(body);
  const original = decodeTuple(attributes.nested(CTA_TUPLE_ORIG));
  const reply = decodeTuple(attributes.nested(CTA_TUPLE_REPLY));
  if (original === null || reply === null) return null;
  return {
    original,
    reply,
    status: attributes.uint32(CTA_STATUS),
    timeout: attributes.uint32(CTA_TIMEOUT, 0),
    mark: attributes.uint32(CTA_MARK, 0),
    tcpState: original.protocol === 'TCP' ? decodeTcpState(attributes) : null,
    id: attributes.uint32(CTA_ID),
    zone: attributes.uint16(CTA_ZONE, 0),
    counters: decodeCounters(attributes),
  };
}

function decodeCounters(attributes: Attributes): FlowCounters | null {
  if (!attributes.has(CTA_COUNTERS_ORIG)) return null;
  const fromClient = attributes.nested(CTA_COUNTERS_ORIG);
  const fromEndpoint = attributes.nested(CTA_COUNTERS_REPLY);
  return {
    packetsIn: fromClient.uint64(CTA_COUNTERS_PACKETS),
    bytesIn: fromClient.uint64(CTA_COUNTERS_BYTES),
    packetsOut: fromEndpoint.uint64(CTA_COUNTERS_PACKETS),
    bytesOut: fromEndpoint.uint64(CTA_COUNTERS_BYTES),
  };
}

/** Null if the kernel left the state out, as it does for a flow that ends. */
function decodeTcpState(attributes: Attributes): number | null {
  if (!attributes.has(CTA_PROTOINFO)) return null;
  return attributes.nested(CTA_PROTOINFO).nested(CTA_PROTOINFO_TCP).uint8(CTA_PROTOINFO_TCP_STATE);
}

/**
 * The attributes to create a flow. The kernel needs the tuple of the answers without translation, and the
 * translated addresses separately (CTA_NAT_DST, CTA_NAT_SRC). If the tuple were already translated, the
 * kernel would not translate any packet.
 */
export function encodeFlow({ original, reply, status, timeout, mark, tcpState }: Flow): Encoded[] {
  const attributes = [
    encodeTuple(CTA_TUPLE_ORIG, original, original.zone),
    encodeTuple(CTA_TUPLE_REPLY, inverse(original), reply.zone),
    uint32(CTA_STATUS, status),
    uint32(CTA_TIMEOUT, timeout),
  ];
  if (!isSameEnd(reply.source, original.destination)) attributes.push(encodeNat(CTA_NAT_DST, reply.source));
  if (!isSameEnd(reply.destination, original.source))
    attributes.push(encodeNat(CTA_NAT_SRC, reply.destination));
  if (mark !== 0) attributes.push(uint32(CTA_MARK, mark));
  if (tcpState !== null) {
    const state = nested(CTA_PROTOINFO_TCP, uint8(CTA_PROTOINFO_TCP_STATE, tcpState));
    attributes.push(nested(CTA_PROTOINFO, state));
  }
  return attributes;
}

/** The attributes by which the kernel finds exactly this flow, not a later one with the same tuple. */
export function encodeIdentity({ original, id, zone }: TrackedFlow): Encoded[] {
  const attributes = [encodeTuple(CTA_TUPLE_ORIG, original, original.zone), uint32(CTA_ID, id)];
  if (zone !== 0) attributes.push(uint16(CTA_ZONE, zone));
  return attributes;
}

function encodeNat(type: number, { address, port }: AddressPort): Encoded {
  const [lowest, highest] = CTA_NAT_IP[addressFamilyOf(address)];
  const ports = [uint16(CTA_PROTONAT_PORT_MIN, port), uint16(CTA_PROTONAT_PORT_MAX, port)];
  return nested(
    type,
    attribute(lowest, address),
    attribute(highest, address),
    nested(CTA_NAT_PROTO, ...ports),
  );
}
