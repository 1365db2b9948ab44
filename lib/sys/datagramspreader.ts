import { EAGAIN, errno } from './errno.js';
import type { Memory } from './memory.js';
import { SendHeaders } from './sendheaders.js';
import type { SocketAddress } from './sockaddr.js';

/**
 * Collects datagrams for several peers and sends them from one unconnected socket with sendmmsg(2). A
 * datagram for many peers is not copied: each of its headers points to the same bytes.
 */
export class DatagramSpreader {
  readonly capacity: number;
  count = 0;
  readonly #headers: SendHeaders;

  /** @param capacity most datagrams that are collected; one counts as often as it has peers */
  constructor(capacity: number) {
    this.capacity = capacity;
    this.#headers = new SendHeaders(capacity);
  }

  get isFull(): boolean {
    return this.count === this.capacity;
  }

  /** Collects `length` bytes from byte `at` on, for one peer. Must not be called when it is full. */
  push(payload: Memory, at: number, length: number, peer: SocketAddress): void {
    this.#headers.setPayload(this.count, payload, at, length);
    this.#headers.setPeer(this.count, peer);
    this.count++;
  }

  /**
   * Sends what was collected, and forgets it.
   * @param failed gets the number of each datagram that the kernel did not take, and the errno
   */
  send(fd: number, failed: (index: number, code: number) => void): void {
    let sent = 0;
    let isSecondTry = false;
    while (sent < this.count) {
      const taken = this.#headers.sendSome(fd, sent, this.count);
      if (taken > 0) {
        sent += taken;
        isSecondTry = false;
        continue;
      }
      const code = errno();
      if (code === EAGAIN) break;
      // The first error may be that of an earlier datagram, which the kernel tells and then forgets.
      if (isSecondTry) failed(sent++, code);
      isSecondTry = !isSecondTry;
    }
    while (sent < this.count) failed(sent++, EAGAIN);
    this.count = 0;
  }
}
