/*
 * The submessages of an RTPS message (DDSI-RTPS 2.5, 8.3.3 and 9.4.1): each has an id, flags, the length of
 * its body in 16 bits, and the body.
 */

import { u16At } from './bytes.js';

/** What functions return that give a place in a block, where there is none. */
export const ABSENT = -1;

/** Bytes before the body of a submessage. */
export const SUBMESSAGE_HEADER = 4;

export enum Submessage {
  Pad = 0x01,
  InfoTimestamp = 0x09,
  InfoDestination = 0x0e,
  Data = 0x15,
}

/** The byte order of a submessage: flag E. */
export function isLittleEndianAt(bytes: Uint8Array, at: number): boolean {
  return ((bytes[at + 1] ?? 0) & 1) !== 0;
}

/**
 * Where the submessage at `at` ends. A length of 0 means that it reaches to the end of the message, except
 * for those that may be empty (9.4.5.1.3).
 * @param end of the message
 * @returns ABSENT where there is no submessage at `at`, or it says that it is longer than the message
 */
export function submessageEnd(bytes: Uint8Array, at: number, end: number): number {
  if (at + SUBMESSAGE_HEADER > end) return ABSENT;
  const length = u16At(bytes, at + 2, isLittleEndianAt(bytes, at));
  const id = bytes[at];
  if (length === 0 && id !== Submessage.Pad && id !== Submessage.InfoTimestamp) return end;
  const after = at + SUBMESSAGE_HEADER + length;
  return after <= end ? after : ABSENT;
}

/**
 * The first submessage of a kind, from the submessage at `at` on.
 * @param end of the message
 * @returns ABSENT where there is none before the message ends or makes no sense
 */
export function findSubmessage(kind: Submessage, bytes: Uint8Array, at: number, end: number): number {
  let place = at;
  while (place !== ABSENT) {
    const after = submessageEnd(bytes, place, end);
    if (after !== ABSENT && bytes[place] === kind) return place;
    place = after;
  }
  return ABSENT;
}
