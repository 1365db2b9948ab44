import { IP_PROTOCOL, PacketHeaders } from '../../../net/packet.js';
import type { Protocol } from '../../../net/protocol.js';
import { ECONNREFUSED, EINTR, errno } from '../../../sys/errno.js';
import type { PacketQueue } from '../../../sys/netlink/packetqueue.js';
import type { EventLoop, Watcher } from '../loop.js';
import { errnoOfIcmp } from './icmpcodes.js';

/** A packet on its way to a client. It says that an endpoint did not take what the client has sent. */
export interface RefusedPacket {
  /** Of the reset, or of the packet that an ICMP error quotes: it went from the client to the endpoint. */
  readonly headers: PacketHeaders;
  readonly isReset: boolean;
  /** What a socket would report of it: ECONNREFUSED, EHOSTUNREACH, ... */
  readonly code: number;
  /** Number of the device by which it came. 0: this node has made it, perhaps its firewall. */
  readonly inputDevice: number;
  /** Byte where the address of whoever says so begins. */
  readonly reporterAt: number;
  /** The memory that has the packet. */
  readonly bytes: Uint8Array;
}

/** Decides about refused packets of one protocol. @returns whether the client must not see the refusal */
export type OnRefused = (packet: RefusedPacket) => boolean;

/** Resets and ICMP errors for clients of this worker that the kernel carries. They wait in a queue. */
export class ErrorQueue implements Watcher {
  readonly owner = 'error queue';
  readonly #loop: EventLoop;
  readonly #queue: PacketQueue;
  readonly #handlers: Readonly<Record<Protocol, OnRefused>>;
  readonly #headers = new PacketHeaders();
  readonly #quoted = new PacketHeaders();

  constructor(loop: EventLoop, queue: PacketQueue, handlers: Readonly<Record<Protocol, OnRefused>>) {
    this.#loop = loop;
    this.#queue = queue;
    this.#handlers = handlers;
    loop.watchInput(queue.fd, this);
  }

  onReady(): number {
    const count = this.#queue.receive();
    if (count < 0) {
      const code = errno();
      return code === EINTR ? 0 : code;
    }
    for (let index = 0; index < count; index++) {
      if (this.#isHandled(index)) this.#queue.drop(index);
      else this.#queue.accept(index);
    }
    this.#queue.flush();
    return 0;
  }

  close(): void {
    this.#loop.unwatch(this.#queue.fd);
    this.#queue.close();
  }

  #isHandled(index: number): boolean {
    const headers = this.#headers;
    const { view, bytes } = this.#queue;
    if (!headers.read(view, this.#queue.startOf(index), this.#queue.lengthOf(index))) return false;
    const inputDevice = this.#queue.inputDeviceOf(index);
    const { sourceAt: reporterAt } = headers;
    if (headers.protocol === IP_PROTOCOL.tcp) {
      return this.#handlers.TCP({
        headers,
        isReset: true,
        code: ECONNREFUSED,
        inputDevice,
        reporterAt,
        bytes,
      });
    }
    const code = errnoOfIcmp(headers.isV6, headers.icmpType, headers.icmpCode);
    const quoted = this.#quoted;
    if (code === null || !quoted.readQuoted(view, headers)) return false;
    const handler = quoted.protocol === IP_PROTOCOL.tcp ? this.#handlers.TCP : this.#handlers.UDP;
    return handler({ headers: quoted, isReset: false, code, inputDevice, reporterAt, bytes });
  }
}
