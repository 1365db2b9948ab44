import fc from 'fast-check';
import t from 'tap';
import { BANNER } from '../../../../lib/affinity/asking/identify/banner.js';
import type { Asker, Dialect } from '../../../../lib/affinity/asking/identify/dialect.js';
import { dns } from '../../../../lib/affinity/asking/identify/dns.js';
import { ECHO } from '../../../../lib/affinity/asking/identify/echo.js';
import { http } from '../../../../lib/affinity/asking/identify/http.js';
import { rtps } from '../../../../lib/affinity/asking/identify/rtps.js';
import { readAnnouncement } from '../../../../lib/rtps/announcement.js';

const ASKER: Asker = { token: '00112233445566ff', question: 3, address: '198.18.0.1', port: 40_000 };
const HTTP = http('/who', '10.96.0.10', 80);

const name = (dialect: Dialect, answer: string | Uint8Array, isWhole = true) =>
  dialect.nameIn(Buffer.from(answer), ASKER, isWhole);

function page(body: string, ...fields: readonly string[]): string {
  return ['HTTP/1.1 200 OK', ...fields, `Content-Length: ${body.length}`, '', body].join('\r\n');
}

t.test('http asks for the path at the Service, with a connection of its own', async (t) => {
  const question = Buffer.from(HTTP.question(ASKER) ?? []).toString();
  t.match(question, /^GET \/who HTTP\/1\.1\r\nHost: 10\.96\.0\.10:80\r\n/);
  t.match(question, /\r\nConnection: close\r\n\r\n$/);
});

t.test(
  'http finds the name in a header field, in a text, in JSON, or takes a short body for it',
  async (t) => {
    const table: [answer: string, name: string | null][] = [
      [page('<html>', 'X-Served-By: web-0'), 'web-0'],
      [page('<html>', 'x-pod-name:web-0  '), 'web-0'],
      [page('Hostname: web-0\nIP: 127.0.0.1\n'), 'web-0'],
      [page('Server address: 10.0.0.1:80\nServer name: web-0\nURI: /\n'), 'web-0'],
      [page('{"path": "/", "hostname": "web-0"}'), 'web-0'],
      [page('{"pod":"web-0","n":1}'), 'web-0'],
      [page('web-0\n'), 'web-0'],
      [page('<html><p>Welcome to nginx!</p></html>'), null],
      [page(''), null],
      ['SSH-2.0-OpenSSH_9.2\r\n', null],
    ];
    for (const [answer, expected] of table) t.equal(name(HTTP, answer), expected, answer);
  },
);

t.test('http reads an answer in pieces to its end', async (t) => {
  const whole = page('web-0\n', 'Server: nginx');
  for (let end = 1; end < whole.length; end++) t.equal(name(HTTP, whole.slice(0, end), false), undefined);
  t.equal(name(HTTP, whole, false), 'web-0');
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nweb-\r\n2\r\n0\n\r\n0\r\n\r\n';
  t.equal(name(HTTP, chunked.slice(0, -5), false), undefined);
  t.equal(name(HTTP, chunked, false), 'web-0');
});

t.test('banner takes the first line', async (t) => {
  t.equal(BANNER.question(ASKER), null);
  t.equal(name(BANNER, '220 mail-0 ESMTP\r\n250 more\r\n', false), '220 mail-0 ESMTP');
  t.equal(name(BANNER, '220 mail', false), undefined, 'the line goes on');
  t.equal(name(BANNER, '220 mail', true), '220 mail');
  t.equal(name(BANNER, '\u0001\u0002\r\n', true), null);
});

t.test('echo takes what is beside its own question', async (t) => {
  t.equal(name(ECHO, `web-0:${ASKER.token}\n`), 'web-0');
  t.equal(name(ECHO, `${ASKER.token} from web-0`), 'from web-0');
  t.equal(name(ECHO, `${ASKER.token}\n`), null, 'a plain echo tells no name');
  t.equal(name(ECHO, 'hello', false), undefined, 'more may come');
  t.equal(name(ECHO, 'hello'), null);
});

/** Resource records behind the question of the dialect, as an answer. */
function dnsAnswer(query: Uint8Array, ...records: readonly Uint8Array[]): Buffer {
  const message = Buffer.from(query).subarray(0, 12 + 11 + 4);
  message.writeUInt16BE(0x8000, 2);
  message.writeUInt16BE(records.length, 6);
  message.writeUInt16BE(0, 10);
  return Buffer.concat([message, ...records]);
}

const TXT = Buffer.from('\xc0\x0c\x00\x10\x00\x03\x00\x00\x00\x00\x00\x06\x05ns-0a', 'latin1');
const NSID = Buffer.from('\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x08\x00\x03\x00\x04ns-1', 'latin1');

t.test('dns reads the text of id.server, or the option NSID', async (t) => {
  const dialect = dns('UDP');
  const query = dialect.question(ASKER) ?? new Uint8Array();
  t.equal(name(dialect, dnsAnswer(query, TXT)), 'ns-0a');
  t.equal(name(dialect, dnsAnswer(query, NSID)), 'ns-1');
  t.equal(name(dialect, dnsAnswer(query)), null, 'refused');
  const foreign = dialect.question({ ...ASKER, token: 'ffffffffffffffff' }) ?? new Uint8Array();
  t.equal(name(dialect, dnsAnswer(foreign, TXT)), null, 'an answer to somebody else');
});

t.test('dns over TCP has a length in front, and waits for the whole message', async (t) => {
  const dialect = dns('TCP');
  const query = Buffer.from(dialect.question(ASKER) ?? []);
  t.equal(query.readUInt16BE(0), query.length - 2);
  const answer = dnsAnswer(query.subarray(2), TXT);
  const framed = Buffer.concat([Buffer.from([0, answer.length]), answer]);
  for (let end = 0; end < framed.length; end++)
    t.equal(name(dialect, framed.subarray(0, end), false), undefined);
  t.equal(name(dialect, framed, false), 'ns-0a');
});

t.test('rtps announces a participant that wants its answer at the asker', async (t) => {
  const dialect = rtps(7660, false, new Map());
  const announcement = readAnnouncement(dialect.question(ASKER) ?? new Uint8Array());
  t.match(announcement, {
    isOwn: true,
    isFarewell: false,
    domainId: 1,
    metatraffic: [{ address: '198.18.0.1', port: 40_000 }],
  });
  const farewell = readAnnouncement(dialect.farewell?.(ASKER) ?? new Uint8Array());
  t.match(farewell, { isFarewell: true, prefix: announcement?.prefix });
  const next = readAnnouncement(dialect.question({ ...ASKER, question: 4 }) ?? new Uint8Array());
  t.not(next?.prefix, announcement?.prefix, 'each question is from a new participant');
});

t.test('rtps takes the name of the endpoint, or the prefix of who answers to the asker', async (t) => {
  const own = Buffer.from(rtps(7410, false, new Map()).question(ASKER) ?? []).subarray(8, 20);
  const header = Buffer.from('5254505302050110' + '0110b7e3029acfa1b1247714', 'hex');
  const to = (prefix: Uint8Array) => Buffer.concat([header, Buffer.from('0e010c00', 'hex'), prefix]);
  const dialect = rtps(7410, false, new Map([['10.244.0.3', 'robot-1']]));
  const read = (datagram: Buffer, source: string) => dialect.nameIn(datagram, ASKER, false, source);
  t.equal(read(to(own), '10.244.0.9'), '0110b7e3029acfa1b1247714');
  t.equal(read(to(own), '10.244.0.3'), 'robot-1');
  t.equal(read(header, '10.244.0.3'), 'robot-1', 'a message for everyone');
  t.equal(read(to(Buffer.alloc(12, 7)), '10.244.0.3'), undefined, 'an answer to an earlier question');
  t.equal(read(Buffer.from('hello'), '10.244.0.3'), undefined);
});

t.test('no answer, however odd, makes a dialect throw', async () => {
  const dialects = [HTTP, BANNER, ECHO, dns('TCP'), dns('UDP'), rtps(7410, true, new Map())];
  const query = dns('UDP').question(ASKER) ?? new Uint8Array();
  const beginnings = fc.constantFrom(
    '',
    'HTTP/1.1 200 OK\r\n',
    'RTPS',
    dnsAnswer(query, TXT).toString('latin1'),
  );
  fc.assert(
    fc.property(beginnings, fc.uint8Array({ maxLength: 200 }), fc.boolean(), (beginning, rest, isWhole) => {
      const answer = Buffer.concat([Buffer.from(beginning, 'latin1'), rest]);
      return dialects.every((dialect) => {
        const found = dialect.nameIn(answer, ASKER, isWhole);
        return found === null || found === undefined || /^[\x20-\x7e]{1,253}$/.test(found);
      });
    }),
    { numRuns: 2000 },
  );
});
