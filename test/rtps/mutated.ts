import fc from 'fast-check';
import { MESSAGES } from './messages.js';

type Mutation = (message: Uint8Array) => Uint8Array;

const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

function placeIn(message: Uint8Array, share: number): number {
  return Math.floor(share * message.length);
}

/** One byte becomes another. Lengths and counts often become what is just too much. */
const changed: fc.Arbitrary<Mutation> = fc
  .tuple(place, fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)))
  .map(([share, value]) => (message) => {
    const copy = Uint8Array.from(message);
    copy[placeIn(message, share)] = value;
    return copy;
  });

const cut: fc.Arbitrary<Mutation> = place.map(
  (share) => (message) => message.slice(0, placeIn(message, share)),
);

/** A part of another message takes the place of what was there, or is put in between. */
const spliced: fc.Arbitrary<Mutation> = fc
  .tuple(fc.constantFrom(...MESSAGES), place, place, place, fc.boolean())
  .map(([other, from, to, at, inserts]) => (message) => {
    const part = other.slice(placeIn(other, Math.min(from, to)), placeIn(other, Math.max(from, to)));
    const begin = placeIn(message, at);
    const rest = inserts ? begin : begin + part.length;
    return Uint8Array.from([...message.slice(0, begin), ...part, ...message.slice(rest)]);
  });

/** Captured messages, each changed in a few ways. */
export const mutated: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    fc.constantFrom(...MESSAGES),
    fc.array(fc.oneof({ weight: 4, arbitrary: changed }, cut, spliced), { maxLength: 6 }),
  )
  .map(([message, mutations]) => mutations.reduce((result, mutate) => mutate(result), message));
