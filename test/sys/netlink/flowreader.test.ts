import fc from 'fast-check';
import t from 'tap';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../lib/sys/constants.js';
import { attribute, nested } from '../../../lib/sys/netlink/attributes.js';
import { CTA_COUNTERS_ORIG, CTA_COUNTERS_REPLY, type Flow } from '../../../lib/sys/netlink/flow.js';
import { FlowReader } from '../../../lib/sys/netlink/flowreader.js';
import { endOf } from '../../../lib/sys/netlink/tuple.js';
import { anyFlow, anyNumber, messageOf } from './flows.js';

const reader = new FlowReader();

/** Reads a body where the kernel puts it: at a multiple of four bytes, behind the header of the message. */
function read(body: DataView, reader: FlowReader): boolean {
  const bytes = new Uint8Array(16 + ((body.byteLength + 3) & ~3));
  bytes.set(new Uint8Array(body.buffer, body.byteOffset, body.byteLength), 16);
  return reader.readBody(new DataView(bytes.buffer, 16, body.byteLength));
}

function counters(type: number, packets: bigint, bytes: bigint) {
  const value = (number: bigint) => {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, number);
    return new Uint8Array(view.buffer);
  };
  return nested(type, attribute(1, value(packets)), attribute(2, value(bytes)));
}

t.test('a flow is read as it was encoded', async (t) => {
  fc.assert(
    fc.property(anyFlow, anyNumber, (flow, id) => {
      t.ok(read(messageOf(flow, id), reader));
      t.equal(reader.protocol, flow.original.protocol === 'TCP' ? IPPROTO_TCP : IPPROTO_UDP);
      t.strictSame(endOf(reader.client), { ...flow.original.source });
      t.strictSame(endOf(reader.vip), { ...flow.original.destination });
      t.strictSame(endOf(reader.endpoint), { ...flow.reply.source });
      t.strictSame(endOf(reader.source), { ...flow.reply.destination });
      t.equal(reader.client.length, flow.original.source.address.length === 4 ? 16 : 28);
      t.same([reader.id, reader.mark, reader.status], [id, flow.mark, flow.status]);
      t.same([reader.timeout, reader.tcpState], [flow.timeout, flow.tcpState ?? 0]);
      t.notOk(reader.hasCounters);
    }),
  );
});

t.test('counters have 64 bits, and are gone with the next flow that has none', async (t) => {
  const [flow] = fc.sample(anyFlow, 1) as [Flow];
  const body = messageOf(flow, 1);
  const more = [
    ...counters(CTA_COUNTERS_ORIG, 5n, 2n ** 40n + 3n),
    ...counters(CTA_COUNTERS_REPLY, 7n, 2n ** 32n - 1n),
  ];
  const whole = new DataView(Uint8Array.from([...new Uint8Array(body.buffer), ...more]).buffer);
  t.ok(read(whole, reader));
  t.ok(reader.hasCounters);
  const { packetsIn, bytesIn, packetsOut, bytesOut } = reader;
  t.same([packetsIn, bytesIn, packetsOut, bytesOut], [5, 2 ** 40 + 3, 7, 2 ** 32 - 1]);
  t.ok(read(body, reader));
  t.same([reader.hasCounters, reader.bytesIn, reader.packetsOut], [false, 0, 0]);
});

t.test('a message that is cut or changed is read or refused, and the reading ends', async (t) => {
  fc.assert(
    fc.property(
      anyFlow,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1 }),
      fc.nat(),
      (flow, changes, cut) => {
        const whole = messageOf(flow, 1);
        for (const [at, value] of changes) whole.setUint8(at % whole.byteLength, value);
        read(new DataView(whole.buffer, 0, cut % (whole.byteLength + 1)), reader);
      },
    ),
  );
  const [flow] = fc.sample(anyFlow, 1) as [Flow];
  const whole = messageOf(flow, 1);
  t.notOk(read(new DataView(whole.buffer, 0, 4 + 20), reader), 'without a whole tuple it is refused');
});
