import type { Affinity } from '../../portal/policy.js';
import { isRtps, SOURCE_PREFIX_AT } from '../../rtps/message.js';
import { PREFIX_SIZE, prefixText } from '../../rtps/prefix.js';
import { type ClientKey, clientKey } from './clientkey.js';

/**
 * The key of a pin. Connections and flows with the same key go to the same endpoint of a Service. The key of
 * a participant or of its host consists of hexadecimal digits. No client's key is like it.
 */
export type PinKey = ClientKey;

/** The first datagram of a UDP flow. */
export interface FirstDatagram {
  /**
   * Valid until the next datagrams are received. Each read makes a new view, so only keys that need the
   * payload read it.
   */
  readonly payload: Uint8Array;
}

type MakeKey = (sockaddr: Int32Array, at: number, first: FirstDatagram | null) => PinKey;

const MAKERS: Readonly<Record<Affinity['by'], MakeKey>> = {
  'client-ip': clientKey,
  'rtps-participant': (sockaddr, at, first) => senderKey(first, PREFIX_SIZE) ?? clientKey(sockaddr, at),
  'rtps-host': (sockaddr, at, first) => senderKey(first, HOST_SIZE) ?? clientKey(sockaddr, at),
};

/** Bytes at the beginning of a GUID prefix that tell hosts apart. */
const HOST_SIZE = 4;

/**
 * The key by which a client is pinned. No other function makes pin keys.
 *
 * @param sockaddr the client's address; it begins at word `at`
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

/** The first `size` bytes of the sender's GUID prefix. Null for what is no RTPS. */
function senderKey(first: FirstDatagram | null, size: number): string | null {
  const payload = first?.payload;
  return payload !== undefined && isRtps(payload) ? prefixText(payload, SOURCE_PREFIX_AT, size) : null;
}
