import { isIP } from 'node:net';
import type { Affinity } from '../../portal/policy.js';
import { isRtps, SOURCE_PREFIX_AT } from '../../rtps/message.js';
import { PREFIX_SIZE, prefixText } from '../../rtps/prefix.js';
import { type ClientKey, clientAddress, clientKey, clientKeyOf } from './clientkey.js';

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

/** How many bytes of the sender's GUID prefix the key is. 0: the key is the client's address. */
const PREFIX_BYTES: Readonly<Record<Affinity['by'], number>> = {
  'client-ip': 0,
  'rtps-participant': PREFIX_SIZE,
  'rtps-host': 4,
};

/**
 * How many bytes of the sender's GUID prefix tell clients apart that share a socket. Cyclone DDS has one
 * socket for all participants of a process.
 */
export function prefixBytesOf(affinity: Affinity | null): number {
  return affinity === null ? 0 : PREFIX_BYTES[affinity.by];
}

/**
 * The key by which a client is pinned. No other function makes pin keys.
 *
 * @param sockaddr the client's address; it begins at word `at`
 * @param first null for a TCP connection: its endpoint is chosen before the client has sent anything
 */
export function pinKey(
  affinity: Affinity,
  sockaddr: Int32Array,
  at: number,
  first: FirstDatagram | null,
): PinKey {
  const size = prefixBytesOf(affinity);
  return (size > 0 && first !== null ? senderKey(first, size) : null) ?? clientKey(sockaddr, at);
}

/** Null for what is no RTPS. */
function senderKey({ payload }: FirstDatagram, size: number): string | null {
  return isRtps(payload) ? prefixText(payload, SOURCE_PREFIX_AT, size) : null;
}

/** The key as people read it, and as it is saved: an IP address, or hexadecimal digits. */
export function pinKeyText(key: PinKey): string {
  return typeof key === 'number' || key.includes(':') ? clientAddress(key) : key;
}

/** The key with this text. */
export function parsePinKey(text: string): PinKey {
  return isIP(text) === 0 ? text : clientKeyOf(text);
}
