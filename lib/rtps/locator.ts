import { addressBytes, addressText, familyOf } from '../net/address.js';
import { hostPort } from '../net/hostport.js';
import { u32At } from './bytes.js';

/** Bytes of a locator: kind and port, 32 bits each, and an address of 16 bytes (DDSI-RTPS 2.5, 9.3.2). */
export const LOCATOR_SIZE = 24;

/** Kinds of locators; those from TCPv4 on are Fast DDS' own numbers. */
enum Kind {
  UDPv4 = 1,
  UDPv6 = 2,
  TCPv4 = 4,
  TCPv6 = 8,
}

/** Where a participant says that it can be reached. */
export interface Locator {
  readonly transport: 'udp' | 'tcp';
  readonly address: string;
  /** For TCP this is the physical port. */
  readonly port: number;
}

/** A locator, or null for what is no IP transport, such as shared memory. */
export function readLocator(bytes: Uint8Array, at: number, isLittle: boolean): Locator | null {
  const kind = u32At(bytes, at, isLittle);
  const transport = kind === Kind.UDPv4 || kind === Kind.UDPv6 ? 'udp' : 'tcp';
  if (Kind[kind] === undefined) return null;
  const isV6 = kind === Kind.UDPv6 || kind === Kind.TCPv6;
  const address = addressText(bytes.subarray(at + (isV6 ? 8 : 20), at + LOCATOR_SIZE));
  // The upper half of a TCP port is the logical one, see TCPTransportInterface of Fast DDS.
  const port = u32At(bytes, at + 4, isLittle) & 0xffff;
  return { transport, address, port };
}

/** The bytes of a UDP locator in little-endian order. @throws TypeError if the address is no IP address */
export function udpLocatorBytes(address: string, port: number): Uint8Array {
  const bytes = Buffer.alloc(LOCATOR_SIZE);
  const ip = addressBytes(address);
  bytes.writeUInt32LE(familyOf(address) === 'IPv4' ? Kind.UDPv4 : Kind.UDPv6, 0);
  bytes.writeUInt32LE(port, 4);
  bytes.set(ip, LOCATOR_SIZE - ip.length);
  return bytes;
}

/** For people: `udp/10.244.0.21:7410`. */
export function locatorText({ transport, address, port }: Locator): string {
  return `${transport}/${hostPort(address, port)}`;
}
