import { AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP } from '../constants.js';
import { addressAt, addressWords } from '../sockaddrwords.js';
import { attribute, type Encoded, nested, uint8, uint16, uint32 } from './attributes.js';
import {
  CT_DELETE,
  CT_GET,
  CT_NEW,
  CTA_MARK,
  CTA_NAT_DST,
  CTA_NAT_IP,
  CTA_NAT_PROTO,
  CTA_NAT_SRC,
  CTA_PROTOINFO,
  CTA_PROTOINFO_TCP,
  CTA_PROTOINFO_TCP_STATE,
  CTA_PROTONAT_PORT_MIN,
  CTA_STATUS,
  CTA_TIMEOUT,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_REPLY,
  STATUS,
  TCP_STATE,
} from './flow.js';
import { encodeRequest, NLM_F_CREATE, NLM_F_EXCL } from './messages.js';
import { netfilterHeader } from './nfnetlink.js';
import { encodeTuple } from './tuple.js';

/**
 * Seconds until the kernel drops an entry that no packet has met, as with nf_conntrack_udp_timeout. The first
 * packet sets the kernel's own time-out, so this only ends what was inserted for nothing.
 */
const UNUSED_TIMEOUT_S = 30;

/** struct nlmsghdr and struct nfgenmsg, as 32-bit words. */
const HEADER_WORDS = 5;

export type FlowProtocol = typeof IPPROTO_TCP | typeof IPPROTO_UDP;

/**
 * A message about a flow, encoded once. Its addresses, ports and mark are zero. Positions are 32-bit words
 * from the beginning of the message.
 */
export interface FlowTemplate {
  readonly words: Int32Array;
  /** Where the tuples of both directions begin. */
  readonly original: number;
  readonly reply: number;
  readonly mark: number;
  /** The addresses that take the places of the destination and the source. */
  readonly natDestination: number;
  readonly natSource: number;
}

/** The messages for one kind of flow. */
export interface FlowTemplates {
  readonly lookup: FlowTemplate;
  readonly deletion: FlowTemplate;
  readonly insertion: FlowTemplate;
  /** The same, with a source whose port is given. */
  readonly exactInsertion: FlowTemplate;
}

/** What is translated of the source: nothing, its address, or its address and port. */
type Source = 'none' | 'address' | 'socket';

/**
 * Messages that insert a UDP flow with both ends translated, ports included. The flow is one that has been
 * relayed: its packets belong to an established conversation, for rules (`ctstate`) and for the kernel, which
 * drops other flows first if its table is full.
 */
const TAKEOVERS = [false, true].map((isV6) =>
  insertionTemplate(IPPROTO_UDP, isV6, 'socket', STATUS.seenReply | STATUS.assured | STATUS.confirmed),
);

/** All kinds, where {@link templatesFor} looks. */
const TEMPLATES: readonly FlowTemplates[] = ([IPPROTO_UDP, IPPROTO_TCP] as const).flatMap((protocol) =>
  [false, true].flatMap((isV6) =>
    [false, true].map((hasSource) => ({
      lookup: tupleTemplate(CT_GET, protocol, isV6),
      deletion: tupleTemplate(CT_DELETE, protocol, isV6),
      insertion: insertionTemplate(protocol, isV6, hasSource ? 'address' : 'none'),
      exactInsertion: insertionTemplate(protocol, isV6, 'socket'),
    })),
  ),
);

/** @param hasSource whether the source is translated too */
export function templatesFor(protocol: FlowProtocol, isV6: boolean, hasSource: boolean): FlowTemplates {
  return TEMPLATES[(protocol === IPPROTO_TCP ? 4 : 0) + (isV6 ? 2 : 0) + (hasSource ? 1 : 0)];
}

export function takeoverTemplate(isV6: boolean): FlowTemplate {
  return TAKEOVERS[isV6 ? 1 : 0];
}

/**
 * A message about the flow with an original tuple (ctnetlink_get_conntrack, ctnetlink_del_conntrack).
 * @param type CT_GET or CT_DELETE
 */
function tupleTemplate(type: number, protocol: FlowProtocol, isV6: boolean): FlowTemplate {
  return template(type, 0, isV6, [emptyTuple(CTA_TUPLE_ORIG, protocol, isV6)]);
}

/**
 * A message that inserts a flow whose destination is translated, and its source too unless that is 'none'.
 * A TCP flow is inserted as if its SYN had just been seen.
 *
 * One address is a range of one, and so is one port (nf_nat_ipv4_nlattr_to_range). A source without a port
 * keeps the client's port if that is free, else the kernel picks another one. Without CTA_STATUS the entry
 * has the one bit that every entry has, `confirmed` (ctnetlink_create_conntrack).
 */
function insertionTemplate(protocol: FlowProtocol, isV6: boolean, source: Source, status = 0): FlowTemplate {
  const address = attribute(CTA_NAT_IP[isV6 ? AF_INET6 : AF_INET][0], zeroAddress(isV6));
  const port = nested(CTA_NAT_PROTO, uint16(CTA_PROTONAT_PORT_MIN, 0));
  const synSent = nested(CTA_PROTOINFO_TCP, uint8(CTA_PROTOINFO_TCP_STATE, TCP_STATE.synSent));
  return template(CT_NEW, NLM_F_CREATE | NLM_F_EXCL, isV6, [
    emptyTuple(CTA_TUPLE_ORIG, protocol, isV6),
    emptyTuple(CTA_TUPLE_REPLY, protocol, isV6),
    uint32(CTA_MARK, 0),
    nested(CTA_NAT_DST, address, port),
    source === 'none' ? [] : nested(CTA_NAT_SRC, address, source === 'socket' ? port : []),
    uint32(CTA_TIMEOUT, UNUSED_TIMEOUT_S),
    status === 0 ? [] : uint32(CTA_STATUS, status),
    protocol === IPPROTO_TCP ? nested(CTA_PROTOINFO, synSent) : [],
  ]);
}

function template(type: number, flags: number, isV6: boolean, attributes: readonly Encoded[]): FlowTemplate {
  const header = netfilterHeader(isV6 ? AF_INET6 : AF_INET);
  const message = encodeRequest(type, flags, header, ...attributes);
  const starts: number[] = [];
  let at = HEADER_WORDS;
  for (const { length } of attributes) {
    starts.push(at);
    at += length / 4;
  }
  const [original = 0, reply = 0, mark = 0, destination = 0, source = 0] = starts;
  return {
    words: new Int32Array(message.buffer),
    original,
    reply,
    mark: mark + 1,
    natDestination: destination + 2,
    natSource: source + 2,
  };
}

function zeroAddress(isV6: boolean): Uint8Array {
  return new Uint8Array(4 * addressWords(isV6));
}

function emptyTuple(type: number, protocol: FlowProtocol, isV6: boolean): Encoded {
  const end = { address: zeroAddress(isV6), port: 0 };
  const name = protocol === IPPROTO_TCP ? 'TCP' : 'UDP';
  return encodeTuple(type, { protocol: name, source: end, destination: end });
}

/**
 * Writes the addresses and ports of a tuple in place. The attributes stand as encodeTuple makes them: after
 * the tuple's own header and CTA_TUPLE_IP come both addresses; after CTA_TUPLE_PROTO and the protocol's
 * number come both ports.
 * @param at the word where the tuple begins
 * @param source words of a sockaddr, as `destination`
 */
export function putTuple(
  words: Int32Array,
  at: number,
  source: Int32Array,
  destination: Int32Array,
  isV6: boolean,
): void {
  const size = addressWords(isV6);
  putAddress(words, at + 3, source, isV6);
  putAddress(words, at + 4 + size, destination, isV6);
  const ports = at + 4 + 2 * size + 4;
  words[ports] = portWord(source);
  words[ports + 2] = portWord(destination);
}

/** Writes the address of a sockaddr from word `at` on. */
export function putAddress(words: Int32Array, at: number, sockaddr: Int32Array, isV6: boolean): void {
  const from = addressAt(0, isV6);
  words[at] = sockaddr[from];
  if (!isV6) return;
  words[at + 1] = sockaddr[from + 1];
  words[at + 2] = sockaddr[from + 2];
  words[at + 3] = sockaddr[from + 3];
}

/** Writes the address and port that take the place of the destination or of the source. */
export function putSocket(words: Int32Array, at: number, sockaddr: Int32Array, isV6: boolean): void {
  putAddress(words, at, sockaddr, isV6);
  // Between them are the headers of two attributes, CTA_NAT_PROTO and CTA_PROTONAT_PORT_MIN.
  words[at + addressWords(isV6) + 2] = portWord(sockaddr);
}

/** The port of a sockaddr as the value of an attribute: two bytes in network order, then padding. */
function portWord(sockaddr: Int32Array): number {
  return sockaddr[0] >>> 16;
}

/** A number of 32 bits in network order. */
export function networkWord(value: number): number {
  return ((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);
}
