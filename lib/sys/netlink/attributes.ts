import { EBADMSG, SysError } from '../errno.js';

/**
 * struct nlattr: length u16 (header included), type u16. The next attribute starts at a multiple of four
 * bytes.
 */
const HEADER_SIZE = 4;
/** NLA_F_NESTED and NLA_TYPE_MASK: the two upper bits of a type are flags. */
const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;
const MAX_VALUE_BYTES = 0xffff - HEADER_SIZE;

/** Netlink pads messages and attributes to multiples of four bytes (NLMSG_ALIGNTO, NLA_ALIGNTO). */
export function aligned(size: number): number {
  return (size + 3) & ~3;
}

/** The error for an answer that is shorter than its own length fields say. */
export function malformed(): SysError {
  return new SysError('netlink answer', EBADMSG);
}

/**
 * Bytes of a request. Plain arrays, because small plain arrays are made and joined faster than typed arrays.
 */
export type Encoded = readonly number[];

/** One attribute, padded to a multiple of four bytes. @throws RangeError above 65,531 bytes of data */
export function attribute(type: number, data: ArrayLike<number>): Encoded {
  if (data.length > MAX_VALUE_BYTES) throw new RangeError(`a netlink attribute of ${data.length} bytes`);
  const size = HEADER_SIZE + data.length;
  const bytes = [size & 0xff, size >>> 8, type & 0xff, type >>> 8];
  for (let index = 0; index < data.length; index++) bytes.push(data[index]);
  while (bytes.length < aligned(size)) bytes.push(0);
  return bytes;
}

/** An attribute that holds other attributes. @throws RangeError as {@link attribute} */
export function nested(type: number, ...children: readonly Encoded[]): Encoded {
  return attribute(type | NESTED, ([] as number[]).concat(...children));
}

/** An attribute with a number of 8 bits. */
export function uint8(type: number, value: number): Encoded {
  return attribute(type, [value]);
}

/** An attribute with a number of 16 bits in network order, which netfilter uses. */
export function uint16(type: number, value: number): Encoded {
  return attribute(type, [value >>> 8, value & 0xff]);
}

/** An attribute with a number of 32 bits in network order, which netfilter uses. */
export function uint32(type: number, value: number): Encoded {
  return attribute(type, [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]);
}

/** An attribute with numbers of 32 bits in the byte order of the CPU, which rtnetlink uses. */
export function nativeUint32(type: number, ...values: readonly number[]): Encoded {
  return attribute(type, new Uint8Array(Uint32Array.from(values).buffer));
}

/**
 * Reads a sequence of attributes in place. Values are valid as long as the message is. An attribute that
 * reaches beyond its frame, or whose value has the wrong size, gives a SysError with EBADMSG. If two
 * attributes have the same type, the first one is used.
 */
export class Attributes {
  readonly #view: DataView;

  constructor(view: DataView) {
    this.#view = view;
  }

  /** The value of an attribute. Null if there is none. @throws SysError with EBADMSG */
  find(type: number): DataView | null {
    const view = this.#view;
    for (let at = 0; at < view.byteLength; ) {
      const size = sizeAt(view, at);
      if ((view.getUint16(at + 2, true) & TYPE_MASK) === type) {
        return new DataView(view.buffer, view.byteOffset + at + HEADER_SIZE, size - HEADER_SIZE);
      }
      at += aligned(size);
    }
    return null;
  }

  /** The value of an attribute that must be there. @param size size of the value, bytes; 0: any size */
  require(type: number, size = 0): DataView {
    const value = this.#sized(type, size);
    if (value === null) throw malformed();
    return value;
  }

  #sized(type: number, size: number): DataView | null {
    const value = this.find(type);
    if (value !== null && size > 0 && value.byteLength !== size) throw malformed();
    return value;
  }

  /** The attributes inside an attribute that must be there. */
  nested(type: number): Attributes {
    return new Attributes(this.require(type));
  }

  bytes(type: number): Uint8Array | null {
    const value = this.find(type);
    return value && new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }

  /** A text up to its first zero byte. Null if there is no such attribute. */
  text(type: number): string | null {
    const bytes = this.bytes(type);
    return bytes && Buffer.from(bytes).toString('latin1').replace(/\0.*/s, '');
  }

  uint8(type: number): number {
    return this.require(type, 1).getUint8(0);
  }

  /**
   * A number in network order.
   * @param fallback the number if the attribute is missing; without it, a missing attribute is an error
   */
  uint16(type: number, fallback?: number): number {
    return this.#sized(type, 2)?.getUint16(0) ?? fallbackOrFail(fallback);
  }

  /** As {@link uint16}. */
  uint32(type: number, fallback?: number): number {
    return this.#sized(type, 4)?.getUint32(0) ?? fallbackOrFail(fallback);
  }

  /** A number of 64 bits in network order. Above 2^53 it is not exact. */
  uint64(type: number): number {
    const value = this.require(type, 8);
    return value.getUint32(0) * 2 ** 32 + value.getUint32(4);
  }

  has(type: number): boolean {
    return this.find(type) !== null;
  }
}

/** The number for a missing attribute. @throws SysError with EBADMSG if there is no fallback */
function fallbackOrFail(fallback: number | undefined): number {
  if (fallback === undefined) throw malformed();
  return fallback;
}

/**
 * The attributes after the fixed structure at the beginning of a body.
 * @param size size of the structure, bytes
 * @throws SysError with EBADMSG if the body is shorter than the structure
 */
export function attributesAfter(body: DataView, size: number): Attributes {
  if (body.byteLength < size) throw malformed();
  return new Attributes(new DataView(body.buffer, body.byteOffset + size, body.byteLength - size));
}

/** The length field of the attribute at an offset: header and value, bytes. */
function sizeAt(view: DataView, at: number): number {
  const room = view.byteLength - at;
  if (room < HEADER_SIZE) throw malformed();
  const size = view.getUint16(at, true);
  if (size < HEADER_SIZE || size > room) throw malformed();
  return size;
}
