import { checksumOf, sumOfBytes } from '../../lib/net/checksum.js';
import { IPPROTO_TCP } from '../../lib/sys/constants.js';

/** Addresses and ports of a SYN over IPv4. */
export interface SynEnds {
  /** 32 bits. */
  readonly client: number;
  readonly clientPort: number;
  /** 32 bits. */
  readonly vip: number;
  readonly port: number;
}

const IP_SIZE = 20;
const SIZE = 40;
const SYN = 0x02;

/** An IPv4 address as a number. */
export function numberOf(address: string): number {
  return address.split('.').reduce((number, byte) => number * 256 + Number(byte), 0);
}

/** A SYN as it is on the wire, without options. */
export function synPacket({ client, clientPort, vip, port }: SynEnds, sequence: number): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x4500);
  view.setUint16(2, SIZE);
  view.setUint16(8, (64 << 8) | IPPROTO_TCP);
  view.setUint32(12, client);
  view.setUint32(16, vip);
  view.setUint16(10, checksumOf(sumOfBytes(view, 0, IP_SIZE)));
  view.setUint16(IP_SIZE, clientPort);
  view.setUint16(IP_SIZE + 2, port);
  view.setUint32(IP_SIZE + 4, sequence);
  view.setUint16(IP_SIZE + 12, 0x5000 | SYN);
  view.setUint16(IP_SIZE + 14, 65_535);
  const pseudoHeader = sumOfBytes(view, 12, 8) + IPPROTO_TCP + (SIZE - IP_SIZE);
  view.setUint16(IP_SIZE + 16, checksumOf(pseudoHeader + sumOfBytes(view, IP_SIZE, SIZE - IP_SIZE)));
  return bytes;
}
