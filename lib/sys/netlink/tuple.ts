import { AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP } from '../constants.js';
import type { SocketAddress } from '../sockaddr.js';
import { type Attributes, attribute, type Encoded, nested, uint8, uint16 } from './attributes.js';

/** linux/netfilter/nfnetlink_conntrack.h: enum ctattr_tuple, ctattr_ip and ctattr_l4proto. */
export const CTA_TUPLE_IP = 1;
export const CTA_TUPLE_PROTO = 2;
const CTA_TUPLE_ZONE = 3;
export const CTA_IP = {
  [AF_INET]: { source: 1, destination: 2 },
  [AF_INET6]: { source: 3, destination: 4 },
} as const;
export const CTA_PROTO_NUM = 1;
export const CTA_PROTO_PORT = { source: 2, destination: 3 } as const;

const PROTOCOLS = { TCP: IPPROTO_TCP, UDP: IPPROTO_UDP } as const;

/** One end of a flow. */
export interface AddressPort {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly port: number;
}

/** A copy of what a socket address says. */
export function endOf({ family, port, memory }: SocketAddress): AddressPort {
  const { bytes } = memory;
  return { address: family === AF_INET6 ? bytes.slice(8, 24) : bytes.slice(4, 8), port };
}

/** The addresses and ports in the packets of one direction. */
export interface Tuple {
  readonly protocol: 'TCP' | 'UDP';
  readonly source: AddressPort;
  readonly destination: AddressPort;
  /** The conntrack zone of this direction only (Linux 4.3). 0: none. */
  readonly zone: number;
}

/** Some parts of an end. Missing parts are not compared. */
export interface PartialEnd {
  readonly address?: Uint8Array | undefined;
  readonly port?: number | undefined;
}

/** Some parts of a tuple. A port needs the protocol too. */
export interface PartialTuple {
  readonly protocol?: Tuple['protocol'] | undefined;
  readonly source?: PartialEnd;
  readonly destination?: PartialEnd;
}

export const SIDES = ['source', 'destination'] as const;
export type Side = (typeof SIDES)[number];

/** AF_INET or AF_INET6. */
export function addressFamilyOf(address: Uint8Array): typeof AF_INET | typeof AF_INET6 {
  return address.length === 4 ? AF_INET : AF_INET6;
}

export function isSameEnd(a: AddressPort, b: AddressPort): boolean {
  return a.port === b.port && Buffer.compare(a.address, b.address) === 0;
}

export function isSameTuple(a: Tuple, b: Tuple): boolean {
  const isSame = a.protocol === b.protocol && a.zone === b.zone;
  return isSame && isSameEnd(a.source, b.source) && isSameEnd(a.destination, b.destination);
}

/** The tuple of the answers without translation. */
export function inverse({ protocol, source, destination, zone }: Tuple): Tuple {
  return { protocol, source: destination, destination: source, zone };
}

/** Null for protocols other than TCP and UDP. @throws SysError with EBADMSG */
export function decodeTuple(attributes: Attributes): Tuple | null {
  const layer4 = attributes.nested(CTA_TUPLE_PROTO);
  const number = layer4.uint8(CTA_PROTO_NUM);
  if (number !== IPPROTO_TCP && number !== IPPROTO_UDP) return null;
  const layer3 = attributes.nested(CTA_TUPLE_IP);
  return {
    protocol: number === IPPROTO_TCP ? 'TCP' : 'UDP',
    source: decodeEnd(layer3, layer4, 'source'),
    destination: decodeEnd(layer3, layer4, 'destination'),
    zone: attributes.uint16(CTA_TUPLE_ZONE, 0),
  };
}

/** The address is copied, because the message is valid for a short time only. */
function decodeEnd(layer3: Attributes, layer4: Attributes, side: Side): AddressPort {
  const isV4 = layer3.has(CTA_IP[AF_INET][side]);
  const value = isV4 ? layer3.require(CTA_IP[AF_INET][side], 4) : layer3.require(CTA_IP[AF_INET6][side], 16);
  const address = new Uint8Array(value.byteLength);
  for (let byte = 0; byte < address.length; byte++) address[byte] = value.getUint8(byte);
  return { address, port: layer4.uint16(CTA_PROTO_PORT[side]) };
}

/** @param type CTA_TUPLE_ORIG or CTA_TUPLE_REPLY */
export function encodeTuple(type: number, tuple: PartialTuple, zone = 0): Encoded {
  const addresses: Encoded[] = [];
  const ports: Encoded[] = [];
  for (const side of SIDES) {
    const { address, port } = tuple[side] ?? {};
    if (address !== undefined) addresses.push(attribute(CTA_IP[addressFamilyOf(address)][side], address));
    if (port !== undefined) ports.push(uint16(CTA_PROTO_PORT[side], port));
  }
  const parts = [nested(CTA_TUPLE_IP, ...addresses)];
  const { protocol } = tuple;
  if (protocol !== undefined) {
    parts.push(nested(CTA_TUPLE_PROTO, uint8(CTA_PROTO_NUM, PROTOCOLS[protocol]), ...ports));
  }
  if (zone !== 0) parts.push(uint16(CTA_TUPLE_ZONE, zone));
  return nested(type, ...parts);
}
