import fc from 'fast-check';
import { uint32 } from '../../../lib/sys/netlink/attributes.js';
import { CTA_ID, encodeFlow, type Flow } from '../../../lib/sys/netlink/flow.js';
import { netfilterHeader } from '../../../lib/sys/netlink/nfnetlink.js';
import { inverse, type Tuple } from '../../../lib/sys/netlink/tuple.js';

/** Objects with a prototype, like those of the decoder. */
const PLAIN = { noNullPrototype: true } as const;
export const anyNumber = fc.integer({ min: 0, max: 2 ** 32 - 1 });
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
export const anyFlow = fc
  .constantFrom(4, 16)
  .chain(tupleOf)
  .chain(
    (original): fc.Arbitrary<Flow> =>
      fc.record(
        {
          original: fc.constant(original),
          reply: fc.constant(inverse(original)),
          status: anyNumber,
          timeout: anyNumber,
          mark: anyNumber,
          tcpState: original.protocol === 'UDP' ? fc.constant(null) : fc.integer({ min: 0, max: 255 }),
        },
        PLAIN,
      ),
  );

/** The body of a message about a flow. */
export function messageOf(flow: Flow, id: number): DataView {
  const body = [...netfilterHeader(0), ...encodeFlow(flow).flat(), ...uint32(CTA_ID, id)];
  return new DataView(Uint8Array.from(body).buffer);
}
