import { aligned, malformed } from './attributes.js';

/** netlink(7) and linux/netlink.h. */
export const NLM_F_REQUEST = 0x001;
export const NLM_F_ACK = 0x004;
export const NLM_F_DUMP = 0x300;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
/** Flag of an answer: the objects changed while the kernel listed them. */
export const NLM_F_DUMP_INTR = 0x010;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

/** struct nlmsghdr: length u32, type u16, flags u16, sequence u32, port u32. */
const HEADER_SIZE = 16;
const TYPE = 4;
const FLAGS = 6;
const SEQUENCE = 8;

export interface Message {
  readonly type: number;
  readonly flags: number;
  /** The sequence number of the request that the message answers. */
  readonly sequence: number;
  /** The bytes after the header. Valid until the socket receives again. */
  readonly body: DataView;
}

/** A request: the header, then the parts of the body. Its sequence number is set when it is sent. */
export function encodeRequest(
  type: number,
  flags: number,
  ...parts: readonly ArrayLike<number>[]
): Uint8Array {
  const size = parts.reduce((sum, { length }) => sum + length, HEADER_SIZE);
  const request = new Uint8Array(aligned(size));
  const view = new DataView(request.buffer);
  view.setUint32(0, size, true);
  view.setUint16(TYPE, type, true);
  view.setUint16(FLAGS, flags | NLM_F_REQUEST, true);
  let at = HEADER_SIZE;
  for (const part of parts) {
    request.set(part, at);
    at += part.length;
  }
  return request;
}

/** Sets the sequence number of a request, by which its answer is found. @param sequence 32 bits, unsigned */
export function setSequence(request: Uint8Array, sequence: number): void {
  new DataView(request.buffer, request.byteOffset).setUint32(SEQUENCE, sequence, true);
}

/** The messages of one datagram. @throws SysError with EBADMSG if a message is longer than the datagram */
export function decodeMessages(datagram: DataView): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < datagram.byteLength; ) {
    const room = datagram.byteLength - at;
    if (room < HEADER_SIZE) throw malformed();
    const size = datagram.getUint32(at, true);
    if (size < HEADER_SIZE || size > room) throw malformed();
    messages.push({
      type: datagram.getUint16(at + TYPE, true),
      flags: datagram.getUint16(at + FLAGS, true),
      sequence: datagram.getUint32(at + SEQUENCE, true),
      body: new DataView(datagram.buffer, datagram.byteOffset + at + HEADER_SIZE, size - HEADER_SIZE),
    });
    at += aligned(size);
  }
  return messages;
}

/**
 * The errno in an acknowledgement (struct nlmsgerr) or at the end of a dump. 0 for success.
 * @throws SysError with EBADMSG if the message has none
 */
export function errorCode({ body }: Message): number {
  if (body.byteLength < 4) throw malformed();
  return -body.getInt32(0, true);
}
