import type { Affinity } from '../../portal/policy.js';
import { type ClientKey, clientKey } from './clientkey.js';

/** What a pin is kept by: whatever comes with the same key goes to the same endpoint of a Service. */
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
};

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
