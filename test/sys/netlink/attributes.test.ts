import fc from 'fast-check';
import t from 'tap';
import { EBADMSG, SysError } from '../../../lib/sys/errno.js';
import { Attributes, attribute, nested, uint8, uint16, uint32 } from '../../../lib/sys/netlink/attributes.js';
import {
  decodeMessages,
  encodeRequest,
  NLM_F_REQUEST,
  setSequence,
} from '../../../lib/sys/netlink/messages.js';

function viewOf(bytes: ArrayLike<number>): DataView {
  return new DataView(Uint8Array.from(bytes).buffer);
}

function isMalformed(error: unknown): boolean {
  return error instanceof SysError && error.code === EBADMSG;
}

/** Runs a decoder that must give a result or the error for a malformed message. */
function survives(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch (error) {
    if (isMalformed(error)) return true;
    throw error;
  }
}

const type = fc.integer({ min: 0, max: 0x3fff });
const values = fc.uniqueArray(fc.tuple(type, fc.uint8Array({ maxLength: 40 })), {
  selector: ([type]) => type,
  maxLength: 8,
});

t.test('an encoded attribute is found again, with any length, also inside another attribute', async (t) => {
  fc.assert(
    fc.property(type, values, (outer, values) => {
      const encoded = values.map(([type, bytes]) => attribute(type, bytes));
      const flat = new Attributes(viewOf(encoded.flat()));
      const inner = new Attributes(viewOf(nested(outer, ...encoded))).nested(outer);
      for (const attributes of [flat, inner]) {
        for (const [type, bytes] of values) {
          if (Buffer.compare(attributes.bytes(type) ?? Buffer.of(1), bytes) !== 0) return false;
        }
      }
      return true;
    }),
  );
  t.pass();
});

t.test('numbers are in network order, and a number of the wrong size is an error', async (t) => {
  const attributes = new Attributes(
    viewOf([uint8(1, 0xab), uint16(2, 0x1234), uint32(3, 0xfedcba98)].flat()),
  );
  t.equal(attributes.uint8(1), 0xab);
  t.equal(attributes.uint16(2), 0x1234);
  t.same([...(attributes.bytes(2) ?? [])], [0x12, 0x34]);
  t.equal(attributes.uint32(3), 0xfedcba98);
  t.equal(attributes.uint32(4, 7), 7);
  for (const read of [() => attributes.uint32(2), () => attributes.uint16(1), () => attributes.uint8(4)]) {
    t.throws(read, { name: 'SysError', code: EBADMSG });
  }
  t.throws(() => attribute(1, new Uint8Array(65_532)), RangeError);
});

t.test('an attribute that is longer than its frame, or shorter than its header, is an error', async (t) => {
  for (const bytes of [
    [5, 0, 1, 0],
    [3, 0, 1, 0],
    [0, 0, 1, 0],
    [8, 0],
    [4, 0, 2, 0, 9, 0, 1, 0],
  ]) {
    t.throws(() => new Attributes(viewOf(Uint8Array.from(bytes))).find(1), { code: EBADMSG }, String(bytes));
  }
});

t.test('messages of one datagram come back one by one', async (t) => {
  const requests = [encodeRequest(0x101, 4, Uint8Array.of(1, 2, 3)), encodeRequest(7, 0)];
  for (const [index, request] of requests.entries()) setSequence(request, 2 ** 32 - 2 + index);
  const messages = decodeMessages(viewOf(Buffer.concat(requests)));
  t.same(
    messages.map(({ type, flags, sequence, body }) => [type, flags, sequence, body.byteLength]),
    [
      [0x101, 4 | NLM_F_REQUEST, 2 ** 32 - 2, 3],
      [7, NLM_F_REQUEST, 2 ** 32 - 1, 0],
    ],
  );
});

t.test('with any bytes, reading ends, does not crash and stays inside the datagram', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), type, (bytes, type) =>
      survives(() => {
        for (const { body } of decodeMessages(viewOf(bytes))) new Attributes(body).find(type);
      }),
    ),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), type, (bytes, type) =>
      survives(() => new Attributes(viewOf(bytes)).nested(type).uint32(type)),
    ),
  );
  t.pass();
});
