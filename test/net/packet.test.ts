import fc from 'fast-check';
import t from 'tap';
import { addressText } from '../../lib/net/address.js';
import { IP_PROTOCOL, PacketHeaders, TCP_FLAG } from '../../lib/net/packet.js';

/** A SYN of 10.244.0.2:40000 to 198.51.100.10:80 with 20 bytes of options. */
const SYN_V4 =
  '4500003c1c4640004006b1e60af40002c633640a' +
  '9c400050a1b2c3d400000000a002faf0fe300000' +
  '020405b40402080a9b2c3d4e0000000001030307';
/** A reset that answers it. */
const RESET_V4 = '45000028000040004006ce0ac633640a0af40002' + '00509c4000000000a1b2c3d55014000012340000';
/** A datagram of fd00:244::2 port 5353 to fd00:96::10 port 53 with four bytes. */
const DATAGRAM_V6 =
  '600b1a2c000c1140' +
  'fd000244000000000000000000000002' +
  'fd000096000000000000000000000010' +
  '14e90035000c1234' +
  'cafebabe';
const ICMP_V4 = '4500%LEN%000000003f011111c63364140af40002' + '0303abcd00000000';
const ICMP_V6 =
  '60000000%LEN%3a3f' +
  'fd000096000000000000000000000010' +
  'fd000244000000000000000000000002' +
  '0104abcd00000000';

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

/** An ICMP error with a quote. */
function icmpError(head: string, quote: string): Uint8Array {
  const body = quote.length / 2 + 8;
  const total = head === ICMP_V4 ? body + 20 : body;
  return hex(head.replace('%LEN%', total.toString(16).padStart(4, '0')) + quote);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function read(bytes: Uint8Array): PacketHeaders | null {
  const headers = new PacketHeaders();
  return headers.read(viewOf(bytes), 0, bytes.length) ? headers : null;
}

function readQuoted(bytes: Uint8Array): PacketHeaders | null {
  const error = read(bytes);
  const quoted = new PacketHeaders();
  return error !== null && quoted.readQuoted(viewOf(bytes), error) ? quoted : null;
}

function addressesOf(bytes: Uint8Array, headers: PacketHeaders): string[] {
  const { sourceAt, destinationAt, addressLength } = headers;
  return [sourceAt, destinationAt].map((at) => addressText(bytes.subarray(at, at + addressLength)));
}

t.test('a TCP SYN over IPv4', async (t) => {
  const bytes = hex(SYN_V4);
  const headers = read(bytes) as PacketHeaders;
  t.match(headers, {
    isV6: false,
    protocol: IP_PROTOCOL.tcp,
    hops: 64,
    sourcePort: 40000,
    destinationPort: 80,
    tcpFlags: TCP_FLAG.syn,
    sequence: 0xa1b2c3d4,
    acknowledgement: 0,
    transportAt: 20,
    payloadAt: 60,
    end: 60,
    isWhole: true,
    isIcmpError: false,
  });
  t.same(addressesOf(bytes, headers), ['10.244.0.2', '198.51.100.10']);
});

t.test('a reset: flags and the number that it acknowledges', async (t) => {
  t.match(read(hex(RESET_V4)), {
    tcpFlags: TCP_FLAG.reset | TCP_FLAG.ack,
    acknowledgement: 0xa1b2c3d5,
    payloadAt: 40,
  });
});

t.test('a UDP datagram over IPv6', async (t) => {
  const bytes = hex(DATAGRAM_V6);
  const headers = read(bytes) as PacketHeaders;
  t.match(headers, {
    isV6: true,
    protocol: IP_PROTOCOL.udp,
    hops: 64,
    sourcePort: 5353,
    destinationPort: 53,
    tcpFlags: 0,
    payloadAt: 48,
    end: 52,
    isWhole: true,
  });
  t.same(addressesOf(bytes, headers), ['fd00:244::2', 'fd00:96::10']);
});

t.test('IPv4 options lie between the headers', async (t) => {
  const withOptions = hex(`47${SYN_V4.slice(2, 40)}0102030405060708${SYN_V4.slice(40)}`);
  withOptions[3] = 68;
  t.match(read(withOptions), { transportAt: 28, payloadAt: 68, sourcePort: 40000, isWhole: true });
});

t.test('bytes behind the end of the packet do not belong to it', async (t) => {
  t.match(read(hex(`${DATAGRAM_V6}000000`)), { end: 52, isWhole: true });
});

t.test('a packet that is cut behind its headers is read, and said not to be whole', async (t) => {
  t.match(read(hex(DATAGRAM_V6).subarray(0, 48)), { end: 48, isWhole: false });
});

t.test('a packet that is cut within its headers is not read', async (t) => {
  for (const [packet, headers] of [
    [SYN_V4, 60],
    [RESET_V4, 40],
    [DATAGRAM_V6, 48],
  ] as const) {
    for (let length = 0; length < headers; length++) {
      t.equal(read(hex(packet).subarray(0, length)), null, `${length} of ${headers} bytes`);
    }
  }
});

t.test('fragments, extension headers, other protocols and damaged headers are not read', async (t) => {
  const changed = (packet: string, at: number, ...values: number[]) => {
    const bytes = hex(packet);
    bytes.set(values, at);
    return read(bytes);
  };
  t.equal(changed(SYN_V4, 6, 0x20, 0), null, 'the first fragment');
  t.equal(changed(SYN_V4, 6, 0, 3), null, 'a later fragment');
  t.not(changed(SYN_V4, 6, 0, 0), null, 'neither a fragment nor protected against that');
  t.equal(changed(DATAGRAM_V6, 6, 0), null, 'hop-by-hop options');
  t.equal(changed(DATAGRAM_V6, 6, 44), null, 'a fragment');
  t.equal(changed(SYN_V4, 9, 132), null, 'SCTP');
  t.equal(changed(SYN_V4, 9, IP_PROTOCOL.icmpV6), null, 'ICMPv6 over IPv4');
  t.equal(changed(DATAGRAM_V6, 6, IP_PROTOCOL.icmp), null, 'ICMP over IPv6');
  t.equal(changed(SYN_V4, 0, 0x44), null, 'an IPv4 header of 16 bytes');
  t.equal(changed(SYN_V4, 0, 0x55), null, 'IP version 5');
  t.equal(changed(SYN_V4, 2, 0, 30), null, 'a packet that ends within its TCP header by its own length');
  t.equal(changed(SYN_V4, 32, 0x40), null, 'a TCP header of 16 bytes');
  t.equal(changed(SYN_V4, 32, 0xf0), null, 'a TCP header that is longer than the packet');
});

t.test('an ICMP error quotes the packet that was not delivered', async (t) => {
  for (const [name, bytes, quoted] of [
    [
      'IPv4, all of it',
      icmpError(ICMP_V4, SYN_V4),
      { sourcePort: 40000, tcpFlags: TCP_FLAG.syn, isWhole: true },
    ],
    ['IPv4, cut in the options', icmpError(ICMP_V4, SYN_V4.slice(0, 90)), { tcpFlags: 0, isWhole: false }],
    ['IPv4, 8 bytes of TCP', icmpError(ICMP_V4, SYN_V4.slice(0, 56)), { tcpFlags: 0, isWhole: false }],
  ] as const) {
    t.match(read(bytes), { icmpType: 3, icmpCode: 3, isIcmpError: true, sourcePort: 0 }, name);
    const headers = readQuoted(bytes) as PacketHeaders;
    t.match(headers, { destinationPort: 80, sequence: 0xa1b2c3d4, ...quoted }, name);
    t.same(addressesOf(bytes, headers), ['10.244.0.2', '198.51.100.10'], name);
    t.ok(headers.payloadAt <= headers.end, name);
  }
  const bytes = icmpError(ICMP_V6, DATAGRAM_V6);
  t.match(read(bytes), { icmpType: 1, icmpCode: 4, isIcmpError: true });
  const headers = readQuoted(bytes) as PacketHeaders;
  t.match(headers, { sourcePort: 5353, destinationPort: 53, isWhole: true });
  t.equal(Buffer.from(bytes.subarray(headers.payloadAt, headers.end)).toString('hex'), 'cafebabe');
});

t.test('there is no quote in a message that is no error, nor in one with too few bytes', async (t) => {
  t.equal(readQuoted(icmpError(ICMP_V4, SYN_V4.slice(0, 54))), null, '7 bytes of TCP');
  t.equal(readQuoted(icmpError(ICMP_V4, '')), null);
  t.equal(readQuoted(icmpError(ICMP_V4.replace('0303abcd', '0800abcd'), SYN_V4)), null, 'echo request');
  t.equal(readQuoted(icmpError(ICMP_V6.replace('0104abcd', '8000abcd'), DATAGRAM_V6)), null);
  t.equal(readQuoted(hex(SYN_V4)), null);
});

/** Real packets with some bytes changed, which get further than random bytes do. */
const damaged = fc
  .tuple(
    fc.constantFrom(
      hex(SYN_V4),
      hex(RESET_V4),
      hex(DATAGRAM_V6),
      icmpError(ICMP_V4, SYN_V4),
      icmpError(ICMP_V6, DATAGRAM_V6),
    ),
    fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 4 }),
    fc.nat(120),
  )
  .map(([packet, changes, length]) => {
    const bytes = packet.slice();
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    return bytes.subarray(0, length);
  });

t.test('whatever the bytes are: nothing outside of them is read, and places lie inside', async (t) => {
  const FRAME = 8;
  const framed = (bytes: Uint8Array, frame: number) =>
    Uint8Array.from([...new Array(FRAME).fill(frame), ...bytes, ...new Array(200).fill(frame)]);
  const readAll = (bytes: Uint8Array, start: number, end: number) => {
    const view = viewOf(bytes);
    const outer = new PacketHeaders();
    const inner = new PacketHeaders();
    const isRead = outer.read(view, start, end - start);
    const isQuoteRead = isRead && inner.readQuoted(view, outer);
    for (const headers of [...(isRead ? [outer] : []), ...(isQuoteRead ? [inner] : [])]) {
      const { sourceAt, destinationAt, addressLength, transportAt, payloadAt } = headers;
      t.ok(start <= sourceAt && sourceAt + addressLength === destinationAt);
      t.ok(destinationAt + addressLength <= transportAt && transportAt < payloadAt);
      t.ok(payloadAt <= headers.end && headers.end <= end);
    }
    return { isRead, isQuoteRead, outer: { ...outer }, inner: { ...inner } };
  };
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 120 })), (bytes) => {
      const end = FRAME + bytes.length;
      const result = readAll(framed(bytes, 0), FRAME, end);
      t.same(readAll(framed(bytes, 0xff), FRAME, end), result);
      readAll(bytes.slice(), 0, bytes.length);
    }),
    { numRuns: 2000 },
  );
});
