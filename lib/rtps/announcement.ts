import { u16At, u32At } from './bytes.js';
import { LOCATOR_SIZE, type Locator, readLocator } from './locator.js';
import { HEADER_SIZE, isRtps, SOURCE_PREFIX_AT, vendorOf } from './message.js';
import { Parameter, readParameters, ValueReader } from './parameters.js';
import { PREFIX_SIZE, prefixText } from './prefix.js';
import { ABSENT, findSubmessage, isLittleEndianAt, Submessage, submessageEnd } from './submessages.js';

/** Entity id of the writer of announcements: ENTITYID_SPDP_BUILTIN_PARTICIPANT_WRITER, 000100c2. */
export const ANNOUNCER = 0x000100c2;
/** Flags of DATA, beside the byte order. */
export const FLAG_INLINE_QOS = 2;
export const FLAG_DATA = 4;
export const FLAG_KEY = 8;
/** Where DATA has, from its beginning: how far it is to the inline QoS, and the writer's entity id. */
const TO_INLINE_QOS_AT = 6;
const WRITER_AT = 12;
/** From where the distance to the inline QoS counts. */
const COUNTED_FROM = 8;
/** Bytes of DATA up to the sequence number's end. */
const DATA_SIZE = 24;
/** Representations of a parameter list (DDSI-RTPS 2.5, 10.5): big and little endian. */
const PL_CDR_BE = 2;
const PL_CDR_LE = 3;
/** Bytes before the payload that say how it is represented. */
const ENCAPSULATION_SIZE = 4;

/** What the specification takes for a participant that announces no lease, ms (9.6.3.2). */
const DEFAULT_LEASE = 100_000;
/** Seconds that stand for ever. */
const INFINITE = 0x7fffffff;
/** Of each kind of locator, and of properties, so many are kept; the rest is left out. */
const MOST_LOCATORS = 8;
const MOST_PROPERTIES = 16;

/** What a participant says of itself: SPDP, the simple participant discovery protocol. */
export interface Announcement {
  /** GUID prefix of the participant, see {@link prefixText}. */
  readonly prefix: string;
  /** Whether the participant itself sent it. Discovery servers pass on what others have announced. */
  readonly isOwn: boolean;
  /** It leaves, and nothing else of the announcement says anything. */
  readonly isFarewell: boolean;
  /** Id of the sender's vendor, see {@link vendorName}. */
  readonly vendor: number;
  readonly domainId: number | null;
  readonly entityName: string | null;
  /** How long it may be silent before others take it for gone, ms; may be Infinity. */
  readonly leaseMs: number;
  /** Where it wants discovery and data, in the order of the announcement. Without multicast locators. */
  readonly metatraffic: readonly Locator[];
  readonly data: readonly Locator[];
  /** See runningplace.ts for those that say where the participant runs. */
  readonly properties: ReadonlyMap<string, string>;
}

/**
 * Where a message has an announcement: the place of its submessage. It may be one that makes no sense.
 * @returns ABSENT for messages without one, which are nearly all
 */
export function announcementAt(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let at = findSubmessage(Submessage.Data, bytes, start + HEADER_SIZE, end);
  while (at !== ABSENT) {
    const after = submessageEnd(bytes, at, end);
    if (at + DATA_SIZE <= after && u32At(bytes, at + WRITER_AT, false) === ANNOUNCER) return at;
    at = findSubmessage(Submessage.Data, bytes, after, end);
  }
  return ABSENT;
}

/**
 * Reads the announcement in a datagram.
 * @returns null if the datagram has none, or one that breaks the rules
 */
export function readAnnouncement(bytes: Uint8Array, start = 0, end = bytes.length): Announcement | null {
  if (!isRtps(bytes, start, end)) return null;
  const at = announcementAt(bytes, start, end);
  if (at === ABSENT) return null;
  const reading = new Reading(bytes);
  if (!reading.data(at, submessageEnd(bytes, at, end)) || reading.prefix === null) return null;
  return {
    prefix: reading.prefix,
    isOwn: reading.prefix === prefixText(bytes, start + SOURCE_PREFIX_AT),
    isFarewell: reading.isFarewell,
    vendor: vendorOf(bytes, start),
    domainId: reading.domainId,
    entityName: reading.entityName,
    leaseMs: reading.leaseMs,
    metatraffic: reading.metatraffic,
    data: reading.dataLocators,
    properties: reading.properties,
  };
}

/** What has been read of one announcement so far. */
class Reading {
  prefix: string | null = null;
  isFarewell = false;
  domainId: number | null = null;
  entityName: string | null = null;
  leaseMs = DEFAULT_LEASE;
  readonly metatraffic: Locator[] = [];
  readonly dataLocators: Locator[] = [];
  readonly properties = new Map<string, string>();
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Reads the DATA submessage from `at` to `end`. @returns whether it makes sense */
  data(at: number, end: number): boolean {
    const bytes = this.#bytes;
    const flags = bytes[at + 1] ?? 0;
    const isLittle = isLittleEndianAt(bytes, at);
    this.isFarewell = (flags & FLAG_DATA) === 0;
    let place = at + COUNTED_FROM + u16At(bytes, at + TO_INLINE_QOS_AT, isLittle);
    if ((flags & FLAG_INLINE_QOS) !== 0) {
      place = readParameters(bytes, place, end, isLittle, (...parameter) => this.#takeQos(...parameter));
      if (place === ABSENT) return false;
    }
    return (flags & (FLAG_DATA | FLAG_KEY)) === 0 || this.#payload(place, end);
  }

  #payload(at: number, end: number): boolean {
    if (at + ENCAPSULATION_SIZE > end) return false;
    const representation = u16At(this.#bytes, at, false);
    if (representation !== PL_CDR_BE && representation !== PL_CDR_LE) return false;
    const isLittle = representation === PL_CDR_LE;
    const take = (id: number, value: number, after: number) => this.#take(id, value, after, isLittle);
    return readParameters(this.#bytes, at + ENCAPSULATION_SIZE, end, isLittle, take) !== ABSENT;
  }

  #takeQos(id: number, at: number, end: number): void {
    if (id === Parameter.KeyHash) this.#takeGuid(at, end);
    // Disposed or unregistered; the flags are in the last of four bytes in either byte order (9.6.4.9).
    else if (id === Parameter.StatusInfo && end - at >= 4)
      this.isFarewell ||= ((this.#bytes[at + 3] ?? 0) & 3) !== 0;
  }

  #take(id: number, at: number, end: number, isLittle: boolean): void {
    const values = new ValueReader(this.#bytes, at, end, isLittle);
    if (id === Parameter.ParticipantGuid) this.#takeGuid(at, end);
    else if (id === Parameter.LeaseDuration) this.leaseMs = readDuration(values) ?? this.leaseMs;
    else if (id === Parameter.DomainId) this.domainId = values.u32();
    else if (id === Parameter.EntityName) this.entityName = values.text();
    else if (id === Parameter.MetatrafficUnicastLocator)
      this.#takeLocator(this.metatraffic, at, end, isLittle);
    else if (id === Parameter.DefaultUnicastLocator) this.#takeLocator(this.dataLocators, at, end, isLittle);
    else if (id === Parameter.Properties) this.#takeProperties(values);
  }

  #takeGuid(at: number, end: number): void {
    if (end - at >= PREFIX_SIZE) this.prefix = prefixText(this.#bytes, at);
  }

  #takeLocator(locators: Locator[], at: number, end: number, isLittle: boolean): void {
    if (end - at < LOCATOR_SIZE || locators.length >= MOST_LOCATORS) return;
    const locator = readLocator(this.#bytes, at, isLittle);
    if (locator !== null) locators.push(locator);
  }

  #takeProperties(values: ValueReader): void {
    const count = values.u32() ?? 0;
    for (let i = 0; i < count && this.properties.size < MOST_PROPERTIES; i++) {
      const name = values.text();
      const value = values.text();
      if (name === null || value === null) return;
      this.properties.set(name, value);
    }
  }
}

/** A duration of seconds and 2^-32 seconds, in ms. */
function readDuration(values: ValueReader): number | null {
  const seconds = values.u32();
  const fraction = values.u32();
  if (seconds === null || fraction === null) return null;
  return seconds >= INFINITE
    ? Number.POSITIVE_INFINITY
    : seconds * 1000 + Math.floor((fraction * 1000) / 2 ** 32);
}
