import fc from 'fast-check';
import t from 'tap';
import { addressText } from '../../lib/net/address.js';
import { sumOfBytes } from '../../lib/net/checksum.js';
import { PacketHeaders } from '../../lib/net/packet.js';
import { Memory } from '../../lib/sys/memory.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { putHeaders, replaceDestination } from '../../lib/sys/udpheaders.js';
import { isSound } from '../net/sound.js';

const CLIENT = { IPv4: '10.244.0.2', IPv6: 'fd00:244::2' } as const;
const VIP = { IPv4: '10.96.0.10', IPv6: 'fd00:96::10' } as const;
const IPPROTO_UDP = 17;
const PACKET_AT = 64;

interface Datagram {
  readonly family: 'IPv4' | 'IPv6';
  readonly data: Uint8Array;
  readonly to: SocketAddress;
}

/** Any datagram to the VIP, and any endpoint. */
const datagrams = fc.constantFrom('IPv4', 'IPv6').chain((family) =>
  fc.record<Datagram>({
    family: fc.constant(family),
    data: fc.uint8Array({ maxLength: 300 }),
    to: fc
      .record({
        bytes: fc.uint8Array(
          family === 'IPv4' ? { minLength: 4, maxLength: 4 } : { minLength: 16, maxLength: 16 },
        ),
        port: fc.integer({ min: 1, max: 65535 }),
      })
      .map(({ bytes, port }) => SocketAddress.of(addressText(bytes), port)),
  }),
);

/** The packet of a datagram to the VIP, in memory, with the checksum of its IPv4 header. */
function packetOf({ family, data }: Datagram) {
  const packet = new Memory(PACKET_AT + 48 + data.length);
  const payload = new Memory(data.length + 8);
  payload.bytes.set(data);
  const [from, to] = [SocketAddress.of(CLIENT[family], 40_000), SocketAddress.of(VIP[family], 53)];
  const headSize = putHeaders(packet, PACKET_AT, from, to, 64, payload, 0, data.length);
  packet.bytes.set(data, PACKET_AT + headSize);
  const headers = new PacketHeaders();
  if (!headers.read(packet.view, PACKET_AT, headSize + data.length)) throw new Error('unreadable');
  if (family === 'IPv4')
    packet.view.setUint16(PACKET_AT + 10, 0xffff - (sumOfBytes(packet.view, PACKET_AT, 20) % 0xffff));
  return { packet, headers };
}

/** Whether both checksums of a packet hold. */
function isWhole(packet: Memory, headers: PacketHeaders): boolean {
  const { sourceAt, addressLength, transportAt, end, isV6 } = headers;
  const size = end - transportAt;
  const pseudo = sumOfBytes(packet.view, sourceAt, 2 * addressLength) + IPPROTO_UDP + size;
  const isHeaderSound = isV6 || isSound(sumOfBytes(packet.view, PACKET_AT, 20));
  return isHeaderSound && isSound(pseudo + sumOfBytes(packet.view, transportAt, size));
}

t.test('a datagram gets another destination, and sound checksums', async (t) => {
  fc.assert(
    fc.property(datagrams, fc.boolean(), (datagram, hasChecksum) => {
      const { packet, headers } = packetOf(datagram);
      t.ok(isWhole(packet, headers));
      if (!hasChecksum) packet.view.setUint16(headers.transportAt + 6, 0x1234);
      replaceDestination(packet, headers, datagram.to, hasChecksum);
      t.ok(isWhole(packet, headers));
      const changed = new PacketHeaders();
      t.ok(changed.read(packet.view, PACKET_AT, packet.bytes.length - PACKET_AT));
      const { destinationAt, addressLength } = changed;
      const address = addressText(packet.bytes.subarray(destinationAt, destinationAt + addressLength));
      t.equal(address, datagram.to.address);
      t.equal(changed.destinationPort, datagram.to.port);
      t.equal(changed.sourcePort, 40_000);
      t.same(
        packet.bytes.subarray(changed.payloadAt, changed.payloadAt + datagram.data.length),
        datagram.data,
      );
    }),
  );
});

t.test('a damaged datagram stays damaged', async (t) => {
  fc.assert(
    fc.property(datagrams, fc.integer({ min: 1, max: 0xfffe }), (datagram, damage) => {
      const { packet, headers } = packetOf(datagram);
      const at = headers.transportAt + 6;
      packet.view.setUint16(at, ((packet.view.getUint16(at) + damage - 1) % 0xffff) + 1);
      replaceDestination(packet, headers, datagram.to, true);
      t.notOk(isWhole(packet, headers));
    }),
  );
});

t.test('a datagram without a checksum gets none', async (t) => {
  const datagram = {
    family: 'IPv4',
    data: Uint8Array.of(1, 2, 3),
    to: SocketAddress.of('10.244.0.9', 9),
  } as const;
  const { packet, headers } = packetOf(datagram);
  packet.view.setUint16(headers.transportAt + 6, 0);
  replaceDestination(packet, headers, datagram.to, true);
  t.equal(packet.view.getUint16(headers.transportAt + 6), 0);
  t.ok(isSound(sumOfBytes(packet.view, PACKET_AT, 20)));
});
