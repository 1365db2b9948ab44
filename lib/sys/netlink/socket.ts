import { setImmediate as otherWork } from 'node:timers/promises';
import { AF_NETLINK, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_RAW } from '../constants.js';
import { checked, EAGAIN, EINTR, ENOBUFS, errno, SysError } from '../errno.js';
import * as libc from '../libc.js';
import { Memory } from '../memory.js';

/** netlink(7) and linux/netlink.h. */
export const NLM_F_REQUEST = 0x001;
export const NLM_F_ACK = 0x004;
export const NLM_F_DUMP = 0x300;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
const NLM_F_DUMP_INTR = 0x010;
/** struct sockaddr_nl: family u16, pad u16, port u32, groups u32 (a bit for each). */
const SOCKADDR_NL_SIZE = 12;
const NL_PID = 4;
const NL_GROUPS = 8;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
/** NLA_TYPE_MASK: two bits of an attribute's type are flags. */
const ATTRIBUTE_TYPE = 0x3fff;

/** struct nlmsghdr: length u32, type u16, flags u16, sequence u32, port u32. */
const HEADER_SIZE = 16;
const TYPE = 4;
const FLAGS = 6;
const SEQUENCE = 8;
/** struct nlattr: length u16 (with these four bytes), type u16; the next one starts at a multiple of four. */
const ATTRIBUTE_HEADER_SIZE = 4;

/** The kernel never makes a dump message longer than 32 KiB. */
const BUFFER_SIZE = 65536;
/**
 * Requests in one call. Their acknowledgements wait in the socket's receive buffer until the call has returned, and
 * what does not fit there is lost; a default buffer holds a few hundred.
 */
const BATCH = 64;

/**
 * A conversation with one part of the kernel. The kernel answers within the sending call, so a blocking read
 * afterwards never waits. Calls must not overlap.
 */
export class NetlinkSocket {
  private readonly fd: number;
  private readonly buffer = new Memory(BUFFER_SIZE);
  private sequence = 0;

  /**
   * @param protocol the part of the kernel, a NETLINK_ number
   * @throws SysError
   */
  constructor(protocol: number) {
    this.fd = checked('socket', libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  }

  /** The body of the one message that answers a request; valid until the next call. @throws SysError */
  ask(request: Uint8Array): DataView {
    this.send([request]);
    const [reply] = this.receive();
    if (reply.type === NLMSG_ERROR) throw new SysError('netlink request', errorCode(reply));
    return reply.body;
  }

  /**
   * Shows the bodies of all messages of a dump to `visit`; they are valid during the call only.
   * @returns whether it was complete: else things changed while the kernel was listing them
   * @throws SysError
   */
  async dump(request: Uint8Array, visit: (body: DataView) => void): Promise<boolean> {
    let complete = true;
    this.send([request]);
    for (;;) {
      for (const reply of this.receive()) {
        if ((reply.flags & NLM_F_DUMP_INTR) !== 0) complete = false;
        if (reply.type === NLMSG_DONE) return complete;
        if (reply.type === NLMSG_ERROR) throw new SysError('netlink dump', errorCode(reply));
        visit(reply.body);
      }
      await otherWork();
    }
  }

  /**
   * Makes requests that ask for an acknowledgement.
   * @returns for each an errno, 0 for success
   * @throws SysError
   */
  async request(requests: readonly Uint8Array[]): Promise<number[]> {
    const codes = new Array<number>(requests.length).fill(0);
    for (let start = 0; start < requests.length; start += BATCH) {
      const batch = requests.slice(start, start + BATCH);
      const first = this.send(batch);
      for (let pending = batch.length; pending > 0; ) {
        for (const reply of this.receive()) {
          pending--;
          codes[start + reply.sequence - first] = errorCode(reply);
        }
      }
      // With thousands of addresses on a device the kernel takes milliseconds for each.
      await otherWork();
    }
    return codes;
  }

  /**
   * Hears from now on what the kernel announces to a group; see {@link announcements}. A membership (NETLINK_ADD_MEMBERSHIP) alone
   * does not do: a socket without an address of its own hears nothing.
   *
   * @param group from 1 to 32
   * @throws SysError
   */
  join(group: number): void {
    const { view, address } = this.buffer;
    view.setUint16(0, AF_NETLINK, true);
    view.setUint16(2, 0, true);
    view.setUint32(NL_PID, 0, true);
    view.setUint32(NL_GROUPS, 2 ** (group - 1), true);
    checked('bind', libc.bindSocket(this.fd, address, SOCKADDR_NL_SIZE));
  }

  /**
   * Shows what was announced since the last call to `visit`; bodies are valid during the call only. Never waits.
   * @returns whether it was complete: what the receive buffer cannot hold is lost
   * @throws SysError
   */
  announcements(visit: (type: number, body: DataView) => void): boolean {
    let complete = true;
    for (;;) {
      try {
        for (const { type, body } of this.receive(MSG_DONTWAIT)) visit(type, body);
      } catch (error) {
        const code = error instanceof SysError ? error.code : 0;
        if (code === EAGAIN) return complete;
        if (code !== ENOBUFS) throw error;
        complete = false;
      }
    }
  }

  close(): void {
    libc.close(this.fd);
  }

  /** Numbers the requests in a row, sends them in one call and returns the first number. */
  private send(requests: readonly Uint8Array[]): number {
    const first = this.sequence + 1;
    let end = 0;
    for (const request of requests) {
      this.buffer.bytes.set(request, end);
      this.buffer.view.setUint32(end + SEQUENCE, ++this.sequence, true);
      end += request.length;
    }
    checked('send', libc.send(this.fd, this.buffer.address, end, 0));
    return first;
  }

  /** The messages of one datagram; valid until the next call. */
  private receive(flags = 0): Message[] {
    let length: number;
    do length = libc.recv(this.fd, this.buffer.address, BUFFER_SIZE, flags);
    while (length < 0 && errno() === EINTR);
    checked('recv', length);
    const { view } = this.buffer;
    const messages: Message[] = [];
    for (let at = 0; at < length; ) {
      const size = view.getUint32(at, true);
      messages.push({
        type: view.getUint16(at + TYPE, true),
        flags: view.getUint16(at + FLAGS, true),
        sequence: view.getUint32(at + SEQUENCE, true),
        body: new DataView(view.buffer, at + HEADER_SIZE, size - HEADER_SIZE),
      });
      at += aligned(size);
    }
    return messages;
  }
}

interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly body: DataView;
}

/** A request: its header, and the parts of its body one after the other. */
export function message(type: number, flags: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts);
  const message = new Uint8Array(HEADER_SIZE + body.length);
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setUint16(TYPE, type, true);
  view.setUint16(FLAGS, flags | NLM_F_REQUEST, true);
  message.set(body, HEADER_SIZE);
  return message;
}

/** An attribute, with what fills it up to the next one's start. */
export function attribute(type: number, data: ArrayLike<number>): Uint8Array {
  const size = ATTRIBUTE_HEADER_SIZE + data.length;
  const bytes = new Uint8Array(aligned(size));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, size, true);
  view.setUint16(2, type, true);
  bytes.set(data, ATTRIBUTE_HEADER_SIZE);
  return bytes;
}

/**
 * Where the value of an attribute starts, the first of its type between two offsets of a body; 0 where there is none.
 * {@link endOfValue} tells where it ends.
 */
export function findAttribute(body: DataView, start: number, end: number, type: number): number {
  for (let at = start; at < end; at += aligned(body.getUint16(at, true))) {
    if ((body.getUint16(at + 2, true) & ATTRIBUTE_TYPE) === type) return at + ATTRIBUTE_HEADER_SIZE;
  }
  return 0;
}

/** @param start of the value */
export function endOfValue(body: DataView, start: number): number {
  const attribute = start - ATTRIBUTE_HEADER_SIZE;
  return attribute + body.getUint16(attribute, true);
}

/** The bytes of an attribute's value; valid as long as the body is. @param start of the value */
export function valueAt(body: DataView, start: number): Uint8Array {
  return new Uint8Array(body.buffer, body.byteOffset + start, endOfValue(body, start) - start);
}

/** The errno in an acknowledgement (struct nlmsgerr); 0 for success. */
function errorCode(reply: Message): number {
  return -reply.body.getInt32(0, true);
}

function aligned(size: number): number {
  return (size + 3) & ~3;
}
