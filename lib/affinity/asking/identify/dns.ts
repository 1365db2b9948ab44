import type { Protocol } from '../../../net/protocol.js';
import { type Dialect, tidyName } from './dialect.js';

const HEADER_SIZE = 12;
const TXT = 16;
const OPT = 41;
const CHAOS = 3;
/** Code of the option that asks a name server for its identifier (RFC 5001). */
const NSID = 3;
/** The name of a server is the text of this name in the class CHAOS (RFC 4892). */
const NAME = ['id', 'server'];

/** A name server that tells its identifier, by `id.server` in the class CHAOS or by NSID. */
export function dns(protocol: Protocol): Dialect {
  return {
    question({ token }) {
      const query = encodeQuery(idOf(token));
      return protocol === 'UDP' ? query : Buffer.concat([uint16(query.length), query]);
    },
    nameIn(answer, { token }, isWhole) {
      const message = protocol === 'UDP' ? answer : withoutLength(answer);
      if (message === null) return isWhole ? null : undefined;
      if (message.length < HEADER_SIZE || message.readUInt16BE(0) !== idOf(token)) return null;
      try {
        return nameIn(message);
      } catch (error) {
        if (error instanceof RangeError) return null;
        throw error;
      }
    },
  };
}

/** Number of the query, by which its answer is known. */
function idOf(token: string): number {
  let id = 0;
  for (const character of token) id = (id * 31 + character.charCodeAt(0)) & 0xffff;
  return id;
}

function encodeQuery(id: number): Buffer {
  const name = Buffer.concat(
    NAME.map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`)),
  );
  const question = Buffer.concat([name, Buffer.from([0]), uint16(TXT), uint16(CHAOS)]);
  const counts = Buffer.concat([uint16(1), uint16(0), uint16(0), uint16(1)]);
  // An OPT record (RFC 6891): no name, size of datagrams, no flags, and the option NSID without data.
  const options = Buffer.concat([uint16(NSID), uint16(0)]);
  const opt = Buffer.concat([
    ...[Buffer.from([0]), uint16(OPT), uint16(1232), Buffer.alloc(4)],
    ...[uint16(options.length), options],
  ]);
  return Buffer.concat([uint16(id), uint16(0), counts, question, opt]);
}

function uint16(value: number): Buffer {
  return Buffer.from([value >>> 8, value & 0xff]);
}

/** A message over TCP, or null if not all of it has come. */
function withoutLength(bytes: Buffer): Buffer | null {
  if (bytes.length < 2 || bytes.length < 2 + bytes.readUInt16BE(0)) return null;
  return bytes.subarray(2, 2 + bytes.readUInt16BE(0));
}

/** The identifier in any record of an answer. @throws RangeError if the message is cut off */
function nameIn(message: Buffer): string | null {
  const questions = message.readUInt16BE(4);
  const records = message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10);
  let at = HEADER_SIZE;
  for (let i = 0; i < questions; i++) at = afterName(message, at) + 4;
  for (let i = 0; i < records; i++) {
    at = afterName(message, at);
    const type = message.readUInt16BE(at);
    const length = message.readUInt16BE(at + 8);
    const data = message.subarray(at + 10, at + 10 + length);
    const name = type === TXT ? textOf(data) : type === OPT ? nsidOf(data) : null;
    if (name !== null) return name;
    at += 10 + length;
  }
  return null;
}

/** Names end with an empty label or with a pointer of two bytes (RFC 1035, 4.1.4). */
function afterName(message: Buffer, at: number): number {
  for (;;) {
    const length = message.readUInt8(at);
    if (length >= 0xc0) return at + 2;
    at += 1 + length;
    if (length === 0) return at;
  }
}

function textOf(data: Buffer): string | null {
  return data.length === 0 ? null : tidyName(data.toString('latin1', 1, 1 + data.readUInt8(0)));
}

function nsidOf(options: Buffer): string | null {
  for (let at = 0; at + 4 <= options.length; at += 4 + options.readUInt16BE(at + 2)) {
    const data = options.subarray(at + 4, at + 4 + options.readUInt16BE(at + 2));
    if (options.readUInt16BE(at) === NSID && data.length > 0) return nsidText(data);
  }
  return null;
}

/** The identifier may be any bytes. What is not text is told in hexadecimal digits, as dig does. */
function nsidText(data: Buffer): string | null {
  const text = data.toString('latin1');
  return /^[\x20-\x7e]+$/.test(text) ? tidyName(text) : data.toString('hex');
}
