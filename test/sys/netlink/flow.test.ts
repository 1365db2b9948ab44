import fc from 'fast-check';
import t from 'tap';
import { EBADMSG, SysError } from '../../../lib/sys/errno.js';
import { decodeFlow, type Flow } from '../../../lib/sys/netlink/flow.js';
import { matches } from '../../../lib/sys/netlink/flowfilter.js';
import { inverse, type Tuple } from '../../../lib/sys/netlink/tuple.js';
import { anyFlow, anyNumber, messageOf } from './flows.js';

t.test('an encoded flow is decoded as the same flow', async (t) => {
  fc.assert(
    fc.property(anyFlow, anyNumber, (flow, id) => {
      t.strictSame(decodeFlow(messageOf(flow, id)), { ...flow, id, zone: 0, counters: null });
    }),
  );
});

t.test('a changed message gives another flow or an error', async (t) => {
  fc.assert(
    fc.property(
      anyFlow,
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
