import { DatagramRing } from '../datagrams.js';
import { aligned } from './attributes.js';
import { ROOM_BEFORE_PACKET } from './verdicts.js';

/** linux/netfilter/nfnetlink_queue.h: enum nfqnl_msg_types; the upper byte is NFNL_SUBSYS_QUEUE. */
const NFQNL_MSG_PACKET = 0x300;
/** enum nfqnl_attr_type. */
const NFQA_PACKET_HDR = 1;
const NFQA_IFINDEX_INDEV = 5;
const NFQA_PAYLOAD = 10;
const NFQA_SKB_INFO = 14;

/** Bytes: struct nlmsghdr and struct nfgenmsg in front of the attributes; struct nlattr. */
const ATTRIBUTES_AT = 20;
const ATTRIBUTE_HEADER = 4;
const MESSAGE_TYPE_AT = 4;
/** Bytes in front of the packet in a message. All attributes of an IP packet together take less. */
const MESSAGE_ROOM = 256;

/** Bytes that a message takes at most. @param copied bytes of the packet in it */
export function messageSize(copied: number): number {
  return aligned(MESSAGE_ROOM + copied);
}

/** The kernel's messages about packets in a queue. They are read in place, and nothing is allocated. */
export class PacketMessages {
  readonly ring: DatagramRing;
  /** By packet of the last receive: its id as it is in the message. */
  readonly ids: Int32Array;
  /** By packet: the byte of the ring where it begins, and how many bytes of it there are. */
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
  /** By packet: number of the device on which it came. 0: this node sent it. */
  readonly devices: Int32Array;
  /** By packet: bits of NFQA_SKB_INFO. */
  readonly infos: Int32Array;
  #count = 0;

  /** @param capacity packets in one receive @param size bytes, see {@link messageSize} */
  constructor(capacity: number, size: number) {
    this.ring = new DatagramRing(capacity, false, size);
    this.ids = new Int32Array(capacity);
    this.starts = new Int32Array(capacity);
    this.lengths = new Int32Array(capacity);
    this.devices = new Int32Array(capacity);
    this.infos = new Int32Array(capacity);
  }

  /** @returns how many packets came; 0 if only errors of verdicts did; -1 with `errno` */
  receive(fd: number): number {
    this.ring.next = 0;
    const messages = this.ring.receive(fd, this.ring.slots);
    if (messages < 0) return -1;
    this.#count = 0;
    for (let slot = 0; slot < messages; slot++) this.#read(slot);
    return this.#count;
  }

  #read(slot: number): void {
    const { view } = this.ring.payloads;
    const start = this.ring.startOf(slot);
    const end = start + this.ring.length(slot);
    if (view.getUint16(start + MESSAGE_TYPE_AT, true) !== NFQNL_MSG_PACKET) return;
    const index = this.#count++;
    this.starts[index] = start + ROOM_BEFORE_PACKET;
    this.lengths[index] = 0;
    this.devices[index] = 0;
    this.infos[index] = 0;
    for (let at = start + ATTRIBUTES_AT; at < end; ) {
      const size = view.getUint16(at, true);
      if (size < ATTRIBUTE_HEADER || at + size > end) return;
      this.#readAttribute(
        index,
        view.getUint16(at + 2, true),
        at + ATTRIBUTE_HEADER,
        size - ATTRIBUTE_HEADER,
      );
      at += aligned(size);
    }
  }

  #readAttribute(index: number, type: number, at: number, length: number): void {
    const { view } = this.ring.payloads;
    switch (type) {
      case NFQA_PACKET_HDR:
        this.ids[index] = view.getInt32(at, true);
        return;
      case NFQA_IFINDEX_INDEV:
        this.devices[index] = view.getInt32(at);
        return;
      case NFQA_SKB_INFO:
        this.infos[index] = view.getInt32(at);
        return;
      case NFQA_PAYLOAD:
        this.starts[index] = at;
        this.lengths[index] = length;
    }
  }
}
