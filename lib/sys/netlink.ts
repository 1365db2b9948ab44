import { setImmediate as otherWork } from 'node:timers/promises';
import { AF_INET, AF_INET6, AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW } from './constants.js';
import { checked, EINTR, errno, SysError } from './errno.js';
import * as libc from './libc.js';
import { Memory } from './memory.js';
import { addressBytes, addressText } from './sockaddr.js';

/** netlink(7), linux/netlink.h and linux/rtnetlink.h. */
const NETLINK_ROUTE = 0;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST = 0x001;
const NLM_F_ACK = 0x004;
const NLM_F_DUMP_INTR = 0x010;
const NLM_F_DUMP = 0x300;
const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
const RT_SCOPE_HOST = 254;
const IFF_UP = 1;
const FOREVER = 0xffffffff;

/** struct nlmsghdr: length u32, type u16, flags u16, sequence u32, port u32. */
const HEADER_SIZE = 16;
const TYPE = 4;
const FLAGS = 6;
const SEQUENCE = 8;
/** struct ifaddrmsg: family u8, prefix length u8, flags u8, scope u8, interface index u32. */
const IFADDRMSG_SIZE = 8;
/** struct ifinfomsg: family u8, pad u8, type u16, index i32, flags u32, change mask u32. */
const IFINFOMSG_SIZE = 16;
/** struct rtattr: length u16 (with these four bytes), type u16; the next one starts at a multiple of four. */
const ATTRIBUTE_HEADER_SIZE = 4;

/** Every network namespace numbers its loopback device so (LOOPBACK_IFINDEX). */
const LOOPBACK_INDEX = 1;

/** The kernel never makes a dump message longer than 32 KiB. */
const BUFFER_SIZE = 65536;
/**
 * Requests in one call. Their acknowledgements wait in the socket's receive buffer until the call has returned, and
 * what does not fit there is lost; a default buffer holds a few hundred.
 */
const BATCH = 64;

/** An address that a device has. */
export interface DeviceAddress {
  /** Index of the device. */
  readonly device: number;
  readonly address: string;
}

/** A request that the kernel refused. */
export interface AddressFailure {
  readonly address: string;
  /** Errno. */
  readonly code: number;
}

/**
 * A conversation with the kernel about addresses. The kernel answers within the sending call, so a blocking read
 * afterwards never waits. Calls must not overlap.
 */
export class RouteSocket {
  private readonly fd = checked('socket', libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  private readonly buffer = new Memory(BUFFER_SIZE);
  private sequence = 0;

  /** @throws SysError */
  loopbackIsUp(): boolean {
    const request = header(RTM_GETLINK, NLM_F_REQUEST, new Uint8Array(IFINFOMSG_SIZE));
    new DataView(request.buffer).setInt32(HEADER_SIZE + 4, LOOPBACK_INDEX, true);
    this.send([request]);
    const [reply] = this.receive();
    if (reply.type === NLMSG_ERROR) throw new SysError('RTM_GETLINK', errorCode(reply));
    return (reply.body.getUint32(8, true) & IFF_UP) !== 0;
  }

  /** Every address of every device. @throws SysError */
  addresses(): DeviceAddress[] {
    for (;;) {
      this.send([header(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, new Uint8Array(IFADDRMSG_SIZE))]);
      const found = this.readDump();
      // Null: addresses changed while the kernel was listing them, so some may be missing.
      if (found !== null) return found;
    }
  }

  /**
   * Gives host addresses to the loopback device. They are never chosen as the source of a connection to elsewhere:
   * IPv4 ones have host scope, IPv6 ones are deprecated.
   * @returns the addresses refused; EEXIST for one that the device has already
   * @throws SysError
   */
  addToLoopback(addresses: readonly string[]): Promise<AddressFailure[]> {
    return this.change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, addresses);
  }

  /**
   * @returns the addresses refused; EADDRNOTAVAIL for one that the device has not
   * @throws SysError
   */
  removeFromLoopback(addresses: readonly string[]): Promise<AddressFailure[]> {
    return this.change(RTM_DELADDR, 0, addresses);
  }

  close(): void {
    libc.close(this.fd);
  }

  private async change(type: number, flags: number, addresses: readonly string[]): Promise<AddressFailure[]> {
    const failures: AddressFailure[] = [];
    for (let start = 0; start < addresses.length; start += BATCH) {
      const batch = addresses.slice(start, start + BATCH);
      const first = this.send(
        batch.map((address) => header(type, NLM_F_REQUEST | NLM_F_ACK | flags, loopbackAddress(address))),
      );
      for (let pending = batch.length; pending > 0; ) {
        for (const reply of this.receive()) {
          pending--;
          const code = errorCode(reply);
          if (code !== 0) failures.push({ address: batch[reply.sequence - first], code });
        }
      }
      // With thousands of addresses on a device the kernel takes milliseconds for each.
      await otherWork();
    }
    return failures;
  }

  private readDump(): DeviceAddress[] | null {
    const found: DeviceAddress[] = [];
    let complete = true;
    for (;;) {
      for (const reply of this.receive()) {
        if ((reply.flags & NLM_F_DUMP_INTR) !== 0) complete = false;
        if (reply.type === NLMSG_DONE) return complete ? found : null;
        if (reply.type === NLMSG_ERROR) throw new SysError('RTM_GETADDR', errorCode(reply));
        found.push(readAddress(reply.body));
      }
    }
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
  private receive(): Message[] {
    let length: number;
    do length = libc.recv(this.fd, this.buffer.address, BUFFER_SIZE, 0);
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

function header(type: number, flags: number, body: Uint8Array): Uint8Array {
  const message = new Uint8Array(HEADER_SIZE + body.length);
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setUint16(TYPE, type, true);
  view.setUint16(FLAGS, flags, true);
  message.set(body, HEADER_SIZE);
  return message;
}

/** An ifaddrmsg with attributes: one whole address, without duplicate detection, which loopback has no use for. */
function loopbackAddress(address: string): Uint8Array {
  const bytes = addressBytes(address);
  const isV4 = bytes.length === 4;
  const fixed = new Uint8Array(IFADDRMSG_SIZE);
  fixed.set([isV4 ? AF_INET : AF_INET6, bytes.length * 8, 0, RT_SCOPE_HOST]);
  new DataView(fixed.buffer).setUint32(4, LOOPBACK_INDEX, true);
  const attributes = [attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes)];
  if (!isV4) {
    attributes.push(attribute(IFA_FLAGS, words(IFA_F_NODAD)));
    // struct ifa_cacheinfo: preferred and valid lifetime in seconds, two time stamps.
    attributes.push(attribute(IFA_CACHEINFO, words(0, FOREVER, 0, 0)));
  }
  return Uint8Array.from([fixed, ...attributes].flatMap((part) => [...part]));
}

function attribute(type: number, data: ArrayLike<number>): Uint8Array {
  const size = ATTRIBUTE_HEADER_SIZE + data.length;
  const bytes = new Uint8Array(aligned(size));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, size, true);
  view.setUint16(2, type, true);
  bytes.set(data, ATTRIBUTE_HEADER_SIZE);
  return bytes;
}

function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

/** IFA_LOCAL is the device's own address where a link has a peer; IPv6 mostly has IFA_ADDRESS alone. */
function readAddress(body: DataView): DeviceAddress {
  let local: Uint8Array | undefined;
  let address: Uint8Array | undefined;
  for (let at = IFADDRMSG_SIZE; at < body.byteLength; ) {
    const size = body.getUint16(at, true);
    const data = new Uint8Array(
      body.buffer,
      body.byteOffset + at + ATTRIBUTE_HEADER_SIZE,
      size - ATTRIBUTE_HEADER_SIZE,
    );
    const type = body.getUint16(at + 2, true);
    if (type === IFA_LOCAL) local = data;
    else if (type === IFA_ADDRESS) address = data;
    at += aligned(size);
  }
  return { device: body.getUint32(4, true), address: addressText(local ?? address ?? []) };
}

/** The errno in an acknowledgement (struct nlmsgerr); 0 for success. */
function errorCode(reply: Message): number {
  return -reply.body.getInt32(0, true);
}

function aligned(size: number): number {
  return (size + 3) & ~3;
}
