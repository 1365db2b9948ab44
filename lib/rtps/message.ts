/*
 * Who sent an RTPS message, and for whom (DDSI-RTPS 2.5, 8.3 and 9.4). These functions look at every
 * datagram of an RTPS Service, so they allocate nothing: a message is the bytes from `start` to `end` of a
 * block, and a place is an index in that block.
 */

import { isZeroPrefix, PREFIX_SIZE } from './prefix.js';
import { ABSENT, findSubmessage, SUBMESSAGE_HEADER, Submessage, submessageEnd } from './submessages.js';

/** Bytes of a message's header: "RTPS", version, vendor, prefix of the sender. Then come the submessages. */
export const HEADER_SIZE = 20;
/** Where the header has the vendor, 2 bytes. */
const VENDOR_AT = 6;
/** Where the header has the GUID prefix of the participant that sent the message. */
export const SOURCE_PREFIX_AT = 8;

/** Whether a datagram is an RTPS message: whether it begins with a whole header. */
export function isRtps(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
  return (
    end - start >= HEADER_SIZE &&
    bytes[start] === 0x52 &&
    bytes[start + 1] === 0x54 &&
    bytes[start + 2] === 0x50 &&
    bytes[start + 3] === 0x53
  );
}

/** The vendor of an RTPS message's sender, see {@link vendorName}. */
export function vendorOf(bytes: Uint8Array, start = 0): number {
  return ((bytes[start + VENDOR_AT] ?? 0) << 8) | (bytes[start + VENDOR_AT + 1] ?? 0);
}

/**
 * Where an RTPS message names the participant that it is for. Every implementation begins with that
 * (INFO_DST), and none names two participants in one message.
 * @returns the place of the GUID prefix; ABSENT for a message to everyone
 */
export function destinationAt(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let at = findSubmessage(Submessage.InfoDestination, bytes, start + HEADER_SIZE, end);
  while (at !== ABSENT) {
    const after = submessageEnd(bytes, at, end);
    const prefix = at + SUBMESSAGE_HEADER;
    if (prefix + PREFIX_SIZE <= after && !isZeroPrefix(bytes, prefix)) return prefix;
    at = findSubmessage(Submessage.InfoDestination, bytes, after, end);
  }
  return ABSENT;
}
