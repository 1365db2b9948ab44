import { EBADMSG, SysError } from '../errno.js';

/** struct nlattr: length u16 (with these four bytes), type u16; the next one starts at a multiple of four. */
const HEADER_SIZE = 4;
/** NLA_F_NESTED and NLA_TYPE_MASK: the two upper bits of a type are flags. */
const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;
const LONGEST_VALUE = 0xffff - HEADER_SIZE;

/** Netlink pads messages and attributes to multiples of four bytes (NLMSG_ALIGNTO, NLA_ALIGNTO). */
export function aligned(size: number): number {
  return (size + 3) & ~3;
}

/** What is said where an answer is shorter than its own lengths promise. */
export function malformed(): SysError {
  return new SysError('netlink answer', EBADMSG);
}

/** Bytes of a request. Plain arrays: so small, they are made and joined faster than typed ones. */
export type Encoded = readonly number[];

/** One attribute, padded up to where the next one starts. @throws RangeError past 65,531 bytes of data */
export function attribute(type: number, data: ArrayLike<number>): Encoded {
  if (data.length > LONGEST_VALUE) throw new RangeError(`a netlink attribute of ${data.length} bytes`);
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

/** An attribute with a number of 16 bits in network order, as netfilter wants it. */
export function uint16(type: number, value: number): Encoded {
  return attribute(type, [value >>> 8, value & 0xff]);
}

/** An attribute with a number of 32 bits in network order, as netfilter wants it. */
export function uint32(type: number, value: number): Encoded {
  return attribute(type, [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]);
}

/**
 * Attributes that stand one after the other, read in place: values are valid as long as the message is.
 * Whatever reaches beyond its frame, or is shorter than its type, is a SysError with EBADMSG.
 * Of two with one type the first counts.
 */
export class Attributes {
  readonly #view: DataView;

  constructor(view: DataView) {
    this.#view = view;
  }

  /** The value of an attribute; null where there is none. @throws SysError with EBADMSG */
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

  /** The value of an attribute that must be there. @param size of the value, bytes; 0 for any */
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

  /** A name, up to its end mark; null where there is none. */
  text(type: number): string | null {
    const bytes = this.bytes(type);
    return bytes && Buffer.from(bytes).toString('latin1').replace(/\0.*/s, '');
  }

  uint8(type: number): number {
    return this.require(type, 1).getUint8(0);
  }

  /**
   * A number in network order.
   * @param fallback what counts where there is none; without it, that is an error
   */
  uint16(type: number, fallback?: number): number {
    return this.#sized(type, 2)?.getUint16(0) ?? fallbackOrFail(fallback);
  }

  /** As {@link uint16}. */
  uint32(type: number, fallback?: number): number {
    return this.#sized(type, 4)?.getUint32(0) ?? fallbackOrFail(fallback);
  }

  has(type: number): boolean {
    return this.find(type) !== null;
  }
}

/** What counts in the place of an attribute that is not there; without it, one must be there. */
function fallbackOrFail(fallback: number | undefined): number {
  if (fallback === undefined) throw malformed();
  return fallback;
}

/**
 * The attributes after the structure that a body begins with.
 * @throws SysError with EBADMSG where it is cut short
 */
export function attributesAfter(body: DataView, size: number): Attributes {
  if (body.byteLength < size) throw malformed();
  return new Attributes(new DataView(body.buffer, body.byteOffset + size, body.byteLength - size));
}

/** The length that the attribute at an offset says of itself, with its header. */
function sizeAt(view: DataView, at: number): number {
  const room = view.byteLength - at;
  if (room < HEADER_SIZE) throw malformed();
  const size = view.getUint16(at, true);
  if (size < HEADER_SIZE || size > room) throw malformed();
  return size;
}
