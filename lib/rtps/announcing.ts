import { ANNOUNCER, FLAG_DATA, FLAG_INLINE_QOS, FLAG_KEY } from './announcement.js';
import { udpLocatorBytes } from './locator.js';
import { Parameter } from './parameters.js';
import { Submessage } from './submessages.js';

/*
 * Writes announcements (SPDP), in little-endian order. Who sends one to a participant, with a locator of its
 * own, is answered by that participant's announcement.
 */

const RTPS = [0x52, 0x54, 0x50, 0x53];
const VERSION = [2, 2];
const FLAG_LITTLE_ENDIAN = 1;
const PL_CDR_LE = [0, 3, 0, 0];
/** Entity id of a participant itself. */
const PARTICIPANT = [0x00, 0x00, 0x01, 0xc1];
/** Bytes from the field behind it to the inline QoS: two entity ids and the sequence number. */
const TO_INLINE_QOS = 16;
/** Announces and hears announcements, and has no other endpoint: nobody sends it anything else. */
const ONLY_ANNOUNCEMENTS = 0b11;
/** Disposed and unregistered. */
const GONE = [0, 0, 0, 3];

/** A participant that is announced. */
export interface Introduction {
  readonly prefix: Uint8Array;
  /** Id of the vendor that it claims to be; a discovery server takes clients of Fast DDS only. */
  readonly vendor: number;
  /** Null if it does not say: participants of every domain then answer it. */
  readonly domainId: number | null;
  /** How long others remember it without another announcement, ms. */
  readonly leaseMs: number;
  /** Where it wants to be answered, an IP address and a UDP port. */
  readonly address: string;
  readonly port: number;
  readonly entityName: string;
  /** Whether it is a client of a Fast DDS discovery server, which else does not answer. */
  readonly isClient: boolean;
}

/** A datagram that announces a participant. @throws TypeError if the address is no IP address */
export function announcementOf(introduction: Introduction): Uint8Array {
  const { prefix, vendor, domainId, leaseMs, address, port, entityName, isClient } = introduction;
  const locator = udpLocatorBytes(address, port);
  const guid = [...prefix, ...PARTICIPANT];
  const properties = isClient ? { PARTICIPANT_TYPE: 'CLIENT', DS_VERSION: '2.0' } : {};
  const payload = [
    parameter(Parameter.ProtocolVersion, [...VERSION, 0, 0]),
    parameter(Parameter.VendorId, [...u16BE(vendor), 0, 0]),
    parameter(Parameter.ParticipantGuid, guid),
    ...(domainId === null ? [] : [parameter(Parameter.DomainId, u32(domainId))]),
    parameter(Parameter.MetatrafficUnicastLocator, locator),
    parameter(Parameter.DefaultUnicastLocator, locator),
    parameter(Parameter.LeaseDuration, duration(leaseMs)),
    parameter(Parameter.BuiltinEndpoints, u32(ONLY_ANNOUNCEMENTS)),
    parameter(Parameter.EntityName, text(entityName)),
    parameter(Parameter.Properties, propertyList(properties)),
  ];
  return message(introduction, FLAG_DATA, 1, identity(introduction, 1), payload);
}

/** A datagram that takes the announcement back: whoever has heard of the participant forgets it at once. */
export function farewellOf(participant: Pick<Introduction, 'prefix' | 'vendor' | 'isClient'>): Uint8Array {
  const guid = [...participant.prefix, ...PARTICIPANT];
  const gone = [parameter(Parameter.KeyHash, guid), parameter(Parameter.StatusInfo, GONE)];
  const qos = [...gone, ...identity(participant, 2)];
  return message(participant, FLAG_KEY, 2, qos, [parameter(Parameter.ParticipantGuid, guid)]);
}

/** Who has written a sample, and its number: a discovery server drops samples of clients without it. */
function identity(
  { prefix, isClient }: Pick<Introduction, 'prefix' | 'isClient'>,
  number: number,
): Uint8Array[] {
  if (!isClient) return [];
  return [parameter(Parameter.SampleIdentity, [...prefix, ...entity(ANNOUNCER), ...sequence(number)])];
}

/** @param flag FLAG_DATA or FLAG_KEY: what the payload is */
function message(
  { prefix, vendor }: Pick<Introduction, 'prefix' | 'vendor'>,
  flag: number,
  number: number,
  qos: readonly Uint8Array[],
  payload: readonly Uint8Array[],
): Uint8Array {
  const end = parameter(Parameter.Sentinel, []);
  const hasQos = qos.length > 0;
  const body = Buffer.concat([
    Buffer.from([0, 0, ...u16(TO_INLINE_QOS), ...entity(0), ...entity(ANNOUNCER), ...sequence(number)]),
    ...(hasQos ? [...qos, end] : []),
    Buffer.from(PL_CDR_LE),
    ...payload,
    end,
  ]);
  const flags = FLAG_LITTLE_ENDIAN | flag | (hasQos ? FLAG_INLINE_QOS : 0);
  const header = [...RTPS, ...VERSION, ...u16BE(vendor), ...prefix];
  return Buffer.concat([Buffer.from([...header, Submessage.Data, flags, ...u16(body.length)]), body]);
}

/** The value is filled up to a multiple of 4 bytes. */
function parameter(id: Parameter, value: ArrayLike<number>): Uint8Array {
  const size = (value.length + 3) & ~3;
  const bytes = Buffer.alloc(4 + size);
  bytes.writeUInt16LE(id, 0);
  bytes.writeUInt16LE(size, 2);
  bytes.set(Array.from(value), 4);
  return bytes;
}

function propertyList(properties: Readonly<Record<string, string>>): number[] {
  const entries = Object.entries(properties);
  return [...u32(entries.length), ...entries.flatMap((entry) => entry.flatMap(text))];
}

/** Length with the zero byte at the end, then the text, filled up to a multiple of 4 bytes. */
function text(value: string): number[] {
  const bytes = [...Buffer.from(value), 0];
  const fill = new Array<number>(-bytes.length & 3).fill(0);
  return [...u32(bytes.length), ...bytes, ...fill];
}

/** Seconds and 2^-32 seconds. */
function duration(ms: number): number[] {
  return [...u32(Math.floor(ms / 1000)), ...u32(Math.floor(((ms % 1000) * 2 ** 32) / 1000))];
}

/** A sequence number: its upper half, then its lower half. */
function sequence(number: number): number[] {
  return [...u32(0), ...u32(number)];
}

/** Entity ids have no byte order. */
function entity(id: number): number[] {
  return [...u16BE(id >>> 16), ...u16BE(id & 0xffff)];
}

function u16(value: number): number[] {
  return [value & 255, value >>> 8];
}

function u16BE(value: number): number[] {
  return [value >>> 8, value & 255];
}

function u32(value: number): number[] {
  return [...u16(value & 0xffff), ...u16(value >>> 16)];
}
