import { u16At, u32At } from './bytes.js';
import { ABSENT } from './submessages.js';

/** Ids of parameters that announcements have (DDSI-RTPS 2.5, 9.6.3.2, and the vendors' own). */
export enum Parameter {
  Sentinel = 0x0001,
  LeaseDuration = 0x0002,
  DomainId = 0x000f,
  ProtocolVersion = 0x0015,
  VendorId = 0x0016,
  DefaultUnicastLocator = 0x0031,
  MetatrafficUnicastLocator = 0x0032,
  ParticipantGuid = 0x0050,
  BuiltinEndpoints = 0x0058,
  Properties = 0x0059,
  EntityName = 0x0062,
  KeyHash = 0x0070,
  StatusInfo = 0x0071,
  /** Fast DDS: the sample's own identity. A discovery server takes no announcement without it. */
  SampleIdentity = 0x800f,
}

/** Says that a receiver must not skip a parameter that it does not know; it does not belong to the id. */
const MUST_UNDERSTAND = 0x4000;
const HEADER_SIZE = 4;
/** Bytes that are kept of a text; the rest is cut. */
const MOST_TEXT = 256;

/**
 * Reads a list of parameters, from `at` on.
 * @param end where the list must have ended
 * @param take gets the id of each parameter, and where its value begins and ends
 * @returns where the list ends; ABSENT if it does not end in time, and then nothing of it is to be believed
 */
export function readParameters(
  bytes: Uint8Array,
  at: number,
  end: number,
  isLittle: boolean,
  take: (id: number, at: number, end: number) => void,
): number {
  let place = at;
  while (place + HEADER_SIZE <= end) {
    const id = u16At(bytes, place, isLittle) & ~MUST_UNDERSTAND;
    const value = place + HEADER_SIZE;
    if (id === Parameter.Sentinel) return value;
    place = value + u16At(bytes, place + 2, isLittle);
    if (place > end) return ABSENT;
    take(id, value, place);
  }
  return ABSENT;
}

/** Takes one value after the other out of a parameter. What does not fit into it is null. */
export class ValueReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #isLittle: boolean;
  #at: number;

  constructor(bytes: Uint8Array, at: number, end: number, isLittle: boolean) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
    this.#isLittle = isLittle;
  }

  u32(): number | null {
    if (this.#at + 4 > this.#end) return null;
    this.#at += 4;
    return u32At(this.#bytes, this.#at - 4, this.#isLittle);
  }

  /**
   * A text: its length with the zero byte at its end, 32 bits, and its bytes, filled up to a multiple of 4.
   */
  text(): string | null {
    const size = this.u32();
    if (size === null || this.#at + size > this.#end) return null;
    const begin = this.#at;
    this.#at = Math.min(this.#end, begin + ((size + 3) & ~3));
    const kept = Math.min(Math.max(0, size - 1), MOST_TEXT);
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + begin, kept).toString('utf8');
  }
}
