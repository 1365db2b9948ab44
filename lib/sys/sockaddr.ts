import { addressBytes, addressText } from '../net/address.js';
import { AF_INET, AF_INET6 } from './constants.js';
import { Memory } from './memory.js';

/** Bytes. Room for both address families, rounded up so that arrays stay aligned. */
export const SOCKADDR_SIZE = 32;
export const SOCKADDR_IN_SIZE = 16;
export const SOCKADDR_IN6_SIZE = 28;

/** A `sockaddr_in` or `sockaddr_in6` in memory: an argument for bind and connect, or a result of accept. */
export class SocketAddress {
  readonly memory = new Memory(SOCKADDR_SIZE);
  length = 0;

  /** @throws TypeError if `address` is not an IP address */
  static of(address: string, port: number): SocketAddress {
    return new SocketAddress().set(address, port);
  }

  set(address: string, port: number): this {
    const bytes = addressBytes(address);
    const { view, bytes: target } = this.memory;
    const isV4 = bytes.length === 4;
    target.fill(0);
    view.setUint16(0, isV4 ? AF_INET : AF_INET6, true);
    view.setUint16(2, port);
    target.set(bytes, isV4 ? 4 : 8);
    this.length = isV4 ? SOCKADDR_IN_SIZE : SOCKADDR_IN6_SIZE;
    return this;
  }

  /**
   * As {@link set}, without garbage.
   * @param bytes they have 4 or 16 bytes in network order from byte `at` on
   */
  setBytes(bytes: Uint8Array, at: number, isV6: boolean, port: number): this {
    const { words, bytes: target } = this.memory;
    words[0] = (isV6 ? AF_INET6 : AF_INET) | ((port & 0xff) << 24) | ((port >>> 8) << 16);
    // By a loop: `fill` is a call that takes longer than all else here.
    for (let word = 1; word < words.length; word++) words[word] = 0;
    const start = isV6 ? 8 : 4;
    for (let byte = 0; byte < (isV6 ? 16 : 4); byte++) target[start + byte] = bytes[at + byte];
    this.length = isV6 ? SOCKADDR_IN6_SIZE : SOCKADDR_IN_SIZE;
    return this;
  }

  get family(): number {
    return this.memory.view.getUint16(0, true);
  }

  get port(): number {
    return this.memory.view.getUint16(2);
  }

  get address(): string {
    const { bytes } = this.memory;
    return addressText(this.family === AF_INET ? bytes.subarray(4, 8) : bytes.subarray(8, 24));
  }
}
