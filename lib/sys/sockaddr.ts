import { isIPv4, isIPv6 } from 'node:net';
import { AF_INET, AF_INET6 } from './constants.js';
import { Memory } from './memory.js';

/** Room for any address family here, rounded up so that arrays of them stay aligned. */
export const SOCKADDR_SIZE = 32;
export const SOCKADDR_IN_SIZE = 16;
export const SOCKADDR_IN6_SIZE = 28;

/** The bytes of an IPv4 (4) or IPv6 (16) address in network order. @throws TypeError for anything else */
export function addressBytes(address: string): number[] {
  if (isIPv4(address)) return address.split('.').map(Number);
  const plain = address.split('%')[0];
  if (!isIPv6(plain)) throw new TypeError(`not an IP address: ${address}`);
  const [head, tail] = plain.split('::');
  const front = groupBytes(head);
  const back = tail === undefined ? [] : groupBytes(tail);
  return [...front, ...new Array<number>(16 - front.length - back.length).fill(0), ...back];
}

function groupBytes(groups: string): number[] {
  if (groups === '') return [];
  return groups.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 255];
  });
}

/** The text form of 4 or 16 address bytes; IPv6 as RFC 5952 wants it. */
export function addressText(bytes: ArrayLike<number>): string {
  if (bytes.length === 4) return Array.from(bytes).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] << 8) | bytes[2 * i + 1]).toString(16));
  const zeros = longestZeroRun(groups);
  if (zeros.length < 2) return groups.join(':');
  return `${groups.slice(0, zeros.start).join(':')}::${groups.slice(zeros.start + zeros.length).join(':')}`;
}

function longestZeroRun(groups: string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === '0') length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}

/** One `sockaddr_in` or `sockaddr_in6` in memory: an argument for bind and connect, a result of accept. */
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
