import type { Affinity } from '../../portal/policy.js';
import { type ClientKey, clientKey } from './clientkey.js';

/**
 * What a pin is kept by: whatever comes with the same key goes to the same endpoint of a Service. The key of
 * a participant or of its host is in hexadecimal digits. No client's key is like it.
 */
export type PinKey = ClientKey;

/** What begins a UDP flow. */
export interface FirstDatagram {
  /**
   * Valid until the next datagrams are received. Each reading makes a new view, so only keys that need it
   * read it.
   */
  readonly payload: Uint8Array;
}

type MakeKey = (sockaddr: Int32Array, at: number, first: FirstDatagram | null) => PinKey;

const MAKERS: Readonly<Record<Affinity['by'], MakeKey>> = {
  'client-ip': clientKey,
  'rtps-participant': (sockaddr, at, first) => senderKey(first, 12) ?? clientKey(sockaddr, at),
  'rtps-host': (sockaddr, at, first) => senderKey(first, 4) ?? clientKey(sockaddr, at),
};

/** "RTPS", the first bytes of every RTPS message (OMG DDSI-RTPS 2.5, 8.3.3.1). */
const RTPS = Buffer.from('RTPS');
/** Where the header has the GUID prefix of the sender, and where it ends. */
const PREFIX_AT = 8;
const HEADER_LENGTH = 20;

/**
 * The key by which a client is pinned. Nothing else makes such keys.
 *
 * @param sockaddr the client's, which begins at word `at`
 * @param first null for a TCP connection: its endpoint is chosen before the client has sent anything
 */
export function pinKey(
  { by }: Affinity,
  sockaddr: Int32Array,
  at: number,
  first: FirstDatagram | null,
): PinKey {
  return MAKERS[by](sockaddr, at, first);
}

/** The first `length` bytes of the sender's GUID prefix. Null for what is no RTPS. */
function senderKey(first: FirstDatagram | null, length: number): string | null {
  if (first === null) return null;
  const { payload } = first;
  if (payload.length < HEADER_LENGTH || RTPS.some((byte, index) => payload[index] !== byte)) return null;
  return Buffer.from(payload.subarray(PREFIX_AT, PREFIX_AT + length)).toString('hex');
}
