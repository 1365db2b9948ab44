/**
 * A name server that knows one thing: its own identifier, as the text of `id.server` in the class CHAOS
 * (RFC 4892). Its argument is the identifier. It serves port 53 over UDP and TCP.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { item } from '../lab/items.js';

const QUESTION = Buffer.from('\x02id\x06server\x00\x00\x10\x00\x03', 'latin1');
const HEADER_SIZE = 12;

const identifier = Buffer.from(item(process.argv, 2));

function answerTo(query: Buffer): Buffer {
  const header = Buffer.from(query.subarray(0, HEADER_SIZE));
  const question = query.subarray(HEADER_SIZE, HEADER_SIZE + QUESTION.length);
  const isKnown = question.equals(QUESTION);
  // A response. REFUSED (5) if the question is another one.
  header.writeUInt16BE(isKnown ? 0x8400 : 0x8405, 2);
  header.writeUInt16BE(isKnown ? 1 : 0, 6);
  header.writeUInt16BE(0, 10);
  if (!isKnown) return Buffer.concat([header, question]);
  const text = Buffer.concat([Buffer.from([identifier.length]), identifier]);
  const record = Buffer.from([0xc0, HEADER_SIZE, 0, 16, 0, 3, 0, 0, 0, 0, 0, text.length]);
  return Buffer.concat([header, question, record, text]);
}

const udp = createSocket('udp4');
udp.on('message', (query, from) => udp.send(answerTo(query), from.port, from.address));
udp.bind(53);
await once(udp, 'listening');
const tcp = createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes) => {
    const answer = answerTo(bytes.subarray(2));
    socket.write(Buffer.concat([Buffer.from([0, answer.length]), answer]));
  });
});
tcp.listen(53);
await once(tcp, 'listening');
process.stdout.write('ready\n');
