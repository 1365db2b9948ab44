import fc from 'fast-check';
import t from 'tap';
import { EBADMSG, SysError } from '../../../lib/sys/errno.js';
import { uint32 } from '../../../lib/sys/netlink/attributes.js';
import { decodeFlow, encodeFlow, type Flow } from '../../../lib/sys/netlink/flow.js';
import { matches } from '../../../lib/sys/netlink/flowfilter.js';
import { netfilterHeader } from '../../../lib/sys/netlink/nfnetlink.js';
import { inverse, type Tuple } from '../../../lib/sys/netlink/tuple.js';

const CTA_ID = 12;

/** Objects with a prototype, like those of the decoder. */
const PLAIN = { noNullPrototype: true } as const;
const number = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const port = fc.integer({ min: 1, max: 65535 });
const tupleOf = (length: number): fc.Arbitrary<Tuple> => {
  const end = fc.record({ address: fc.uint8Array({ minLength: length, maxLength: length }), port }, PLAIN);
  return fc.record(
    {
      protocol: fc.constantFrom('TCP' as const, 'UDP' as const),
      source: end,
      destination: end,
      zone: fc.integer({ min: 0, max: 65535 }),
    },
    PLAIN,
  );
};
/**
 * A flow without translation, because the kernel reports translation in other attributes than the ones that
 * create it.
 */
const flow = fc
  .constantFrom(4, 16)
  .chain(tupleOf)
  .chain(
    (original): fc.Arbitrary<Flow> =>
      fc.record(
        {
          original: fc.constant(original),
          reply: fc.constant(inverse(original)),
          status: number,
          timeout: number,
          mark: number,
          tcpState: original.protocol === 'UDP' ? fc.constant(null) : fc.integer({ min: 0, max: 255 }),
        },
        PLAIN,
      ),
  );

function messageOf(flow: Flow, id: number): DataView {
  const body = [...netfilterHeader(0), ...encodeFlow(flow).flat(), ...uint32(CTA_ID, id)];
  return new DataView(Uint8Array.from(body).buffer);
}

t.test('an encoded flow is decoded as the same flow', async (t) => {
  fc.assert(
    fc.property(flow, number, (flow, id) => {
      t.strictSame(decodeFlow(messageOf(flow, id)), { ...flow, id, zone: 0 });
    }),
  );
});

t.test('a changed message gives another flow or an error', async (t) => {
  fc.assert(
    fc.property(
      flow,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1 }),
      fc.nat(),
      (flow, changes, cut) => {
        const whole = messageOf(flow, 1);
        for (const [at, value] of changes) whole.setUint8(at % whole.byteLength, value);
        const body = new DataView(whole.buffer, 0, cut % (whole.byteLength + 1));
        try {
          decodeFlow(body);
        } catch (error) {
          if (!(error instanceof SysError) || error.code !== EBADMSG) throw error;
        }
      },
    ),
  );
  t.pass();
});

t.test('a filter compares the values that it gives, and no others', async (t) => {
  const original: Tuple = {
    protocol: 'UDP',
    source: { address: Uint8Array.of(10, 0, 0, 1), port: 1000 },
    destination: { address: Uint8Array.of(10, 0, 0, 2), port: 53 },
    zone: 0,
  };
  const flow: Flow = {
    original,
    reply: inverse(original),
    status: 0,
    timeout: 1,
    mark: 0x1234,
    tcpState: null,
  };
  const is = (filter: Parameters<typeof matches>[0]) => matches(filter, flow);
  t.ok(is({}));
  t.ok(is({ mark: { value: 0x30, mask: 0xf0 } }));
  t.notOk(is({ mark: { value: 0x40, mask: 0xf0 } }));
  t.ok(is({ original: { protocol: 'UDP', destination: { port: 53 } } }));
  t.notOk(is({ original: { protocol: 'TCP', destination: { port: 53 } } }));
  t.notOk(is({ original: { protocol: 'UDP', destination: { port: 54 } } }));
  t.ok(is({ reply: { source: { address: Uint8Array.of(10, 0, 0, 2) } } }));
  t.notOk(is({ reply: { source: { address: Uint8Array.of(10, 0, 0, 1) } } }));
});
