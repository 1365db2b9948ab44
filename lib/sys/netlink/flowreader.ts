import { AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP } from '../constants.js';
import type { DatagramRing } from '../datagrams.js';
import { SOCKADDR_IN_SIZE, SOCKADDR_IN6_SIZE, SocketAddress } from '../sockaddr.js';
import {
  CTA_COUNTERS_BYTES,
  CTA_COUNTERS_ORIG,
  CTA_COUNTERS_PACKETS,
  CTA_COUNTERS_REPLY,
  CTA_ID,
  CTA_MARK,
  CTA_PROTOINFO,
  CTA_PROTOINFO_TCP,
  CTA_PROTOINFO_TCP_STATE,
  CTA_STATUS,
  CTA_TIMEOUT,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_REPLY,
  type FlowCounters,
} from './flow.js';
import { networkWord } from './flowtemplates.js';
import { CTA_IP, CTA_PROTO_NUM, CTA_PROTO_PORT, CTA_TUPLE_IP, CTA_TUPLE_PROTO } from './tuple.js';

/** Bytes. A message with all that the kernel can say of a flow takes less than half of that. */
export const FLOW_MESSAGE_SIZE = 1024;
/** Words of struct nlmsghdr and struct nfgenmsg: the attributes are behind them. */
const HEADER_WORDS = 5;
/** The word of struct nlmsghdr that has the type in its lower half. */
const TYPE_WORD = 1;

/** The two upper bits of an attribute's type are flags. */
const TYPE_MASK = 0x3fff;
/** No attribute begins at word 0: a header is there. */
const NOWHERE = 0;

/**
 * What a message of the kernel says about a tracked flow. It is read in place and makes no objects, for
 * messages that come by the thousand: the next one that is read takes the place of this one.
 */
export class FlowReader implements FlowCounters {
  protocol: typeof IPPROTO_TCP | typeof IPPROTO_UDP = IPPROTO_UDP;
  /** Both ends in the original direction. */
  readonly client = new SocketAddress();
  readonly vip = new SocketAddress();
  /** Who answers, and to which address: the VIP and the client, unless the flow is translated. */
  readonly endpoint = new SocketAddress();
  readonly source = new SocketAddress();
  mark = 0;
  /** 32 bits. A later flow with the same addresses and ports has another id. */
  id = 0;
  /** Bits of `STATUS`. */
  status = 0;
  /** Seconds until the kernel drops the flow if no packet comes. Null if the kernel did not tell. */
  timeout: number | null = null;
  /** A value of `TCP_STATE`, or of a later state. 0 for UDP, or if the kernel did not tell. */
  tcpState = 0;
  /** False if net.netfilter.nf_conntrack_acct was off when the flow began. The counters are 0 then. */
  hasCounters = false;
  packetsIn = 0;
  bytesIn = 0;
  packetsOut = 0;
  bytesOut = 0;
  /** The memory of the last body. */
  #memory: Int32Array = new Int32Array(0);

  /**
   * Reads the attributes of a message.
   * @param words memory with the message
   * @param from the word where the first attribute begins
   * @param end the word behind the last one
   * @returns false if it is no TCP or UDP flow, or not whole
   */
  read(words: Int32Array, from: number, end: number): boolean {
    const isRead =
      this.#readTuple(words, find(words, from, end, CTA_TUPLE_ORIG), this.client, this.vip) &&
      this.#readTuple(words, find(words, from, end, CTA_TUPLE_REPLY), this.endpoint, this.source);
    if (!isRead) return false;
    this.mark = numberAt(words, find(words, from, end, CTA_MARK));
    this.id = numberAt(words, find(words, from, end, CTA_ID));
    this.status = numberAt(words, find(words, from, end, CTA_STATUS));
    const timeout = find(words, from, end, CTA_TIMEOUT);
    this.timeout = timeout === NOWHERE ? null : numberAt(words, timeout);
    this.tcpState = tcpStateIn(words, find(words, from, end, CTA_PROTOINFO));
    const fromClient = find(words, from, end, CTA_COUNTERS_ORIG);
    const fromEndpoint = find(words, from, end, CTA_COUNTERS_REPLY);
    this.hasCounters = fromClient !== NOWHERE;
    this.packetsIn = counterIn(words, fromClient, CTA_COUNTERS_PACKETS);
    this.bytesIn = counterIn(words, fromClient, CTA_COUNTERS_BYTES);
    this.packetsOut = counterIn(words, fromEndpoint, CTA_COUNTERS_PACKETS);
    this.bytesOut = counterIn(words, fromEndpoint, CTA_COUNTERS_BYTES);
    return true;
  }

  /**
   * As {@link read}, for a message that a slot of a ring has.
   * @param type of the message: CT_NEW or CT_DELETE
   * @returns false too for messages of other types
   */
  readSlot(ring: DatagramRing, slot: number, type: number): boolean {
    const { words } = ring.payloads;
    const start = ring.startOf(slot) / 4;
    const end = start + (ring.length(slot) >>> 2);
    const isFlow = end >= start + HEADER_WORDS && (words[start + TYPE_WORD] & 0xffff) === type;
    return isFlow && this.read(words, start + HEADER_WORDS, end);
  }

  /** As {@link read}, for the body of a message: its attributes stand behind struct nfgenmsg. */
  readBody({ buffer, byteOffset, byteLength }: DataView): boolean {
    if (this.#memory.buffer !== buffer) this.#memory = new Int32Array(buffer, 0, buffer.byteLength >>> 2);
    const from = byteOffset >>> 2;
    return this.read(this.#memory, from + 1, from + (byteLength >>> 2));
  }

  #readTuple(words: Int32Array, tuple: number, source: SocketAddress, destination: SocketAddress): boolean {
    const layer3 = child(words, tuple, CTA_TUPLE_IP);
    const layer4 = child(words, tuple, CTA_TUPLE_PROTO);
    const protocol = words[child(words, layer4, CTA_PROTO_NUM) + 1] & 0xff;
    if (layer3 === NOWHERE || layer4 === NOWHERE) return false;
    if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP) return false;
    this.protocol = protocol;
    const family = child(words, layer3, CTA_IP[AF_INET].source) === NOWHERE ? AF_INET6 : AF_INET;
    return (
      readEnd(words, layer3, layer4, family, 'source', source) &&
      readEnd(words, layer3, layer4, family, 'destination', destination)
    );
  }
}

/** Writes a sockaddr. @returns false if a part is missing */
function readEnd(
  words: Int32Array,
  layer3: number,
  layer4: number,
  family: typeof AF_INET | typeof AF_INET6,
  side: 'source' | 'destination',
  end: SocketAddress,
): boolean {
  const address = child(words, layer3, CTA_IP[family][side]);
  const port = child(words, layer4, CTA_PROTO_PORT[side]);
  const size = family === AF_INET ? 1 : 4;
  if (address === NOWHERE || port === NOWHERE || endOf(words, address) !== address + 1 + size) return false;
  const sockaddr = end.memory.words;
  // Both have the port in network order.
  sockaddr[0] = family | (words[port + 1] << 16);
  if (family === AF_INET) {
    sockaddr[1] = words[address + 1];
    end.length = SOCKADDR_IN_SIZE;
    return true;
  }
  sockaddr[1] = 0;
  for (let word = 0; word < 4; word++) sockaddr[2 + word] = words[address + 1 + word];
  end.length = SOCKADDR_IN6_SIZE;
  return true;
}

/**
 * The word where the attribute of a type begins.
 * @returns NOWHERE if there is none, or if an attribute is not whole
 */
function find(words: Int32Array, from: number, end: number, type: number): number {
  for (let at = from; at < end; ) {
    const next = endOf(words, at);
    if (next <= at || next > end) return NOWHERE;
    if (((words[at] >>> 16) & TYPE_MASK) === type) return next === at + 1 ? NOWHERE : at;
    at = next;
  }
  return NOWHERE;
}

/** As {@link find}, inside another attribute. */
function child(words: Int32Array, parent: number, type: number): number {
  return parent === NOWHERE ? NOWHERE : find(words, parent + 1, endOf(words, parent), type);
}

/** The word behind an attribute: its size is in the lower half of its first word. */
function endOf(words: Int32Array, at: number): number {
  return at + (((words[at] & 0xffff) + 3) >>> 2);
}

/** A number of 32 bits in network order. 0 if the attribute is missing. */
function numberAt(words: Int32Array, at: number): number {
  return at === NOWHERE ? 0 : networkWord(words[at + 1]) >>> 0;
}

function tcpStateIn(words: Int32Array, info: number): number {
  const at = child(words, child(words, info, CTA_PROTOINFO_TCP), CTA_PROTOINFO_TCP_STATE);
  return at === NOWHERE ? 0 : words[at + 1] & 0xff;
}

/** A counter of 64 bits in network order. Above 2^53 it is not exact. */
function counterIn(words: Int32Array, parent: number, type: number): number {
  const at = child(words, parent, type);
  if (at === NOWHERE || endOf(words, at) !== at + 3) return 0;
  return (networkWord(words[at + 1]) >>> 0) * 2 ** 32 + (networkWord(words[at + 2]) >>> 0);
}
