/** A name server that takes its time: answers every query with one address. Arguments: port, delay in ms. */

import { createSocket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { item } from '../lab/items.js';

const HEADER_BYTES = 12;
/** QR and RA of RFC 1035, 4.1.1. */
const RESPONSE = 0x8080;
/** A pointer to the question's name; A; IN; to be kept for 0 s; 192.0.2.7. */
const ANSWER = Buffer.from('c00c00010001000000000004c0000207', 'hex');

const [port, delay] = process.argv.slice(2).map(Number);
const socket = createSocket('udp4');
socket.on('message', async (query, { address, port }) => {
  await sleep(delay);
  socket.send(answerTo(query), port, address);
});
socket.bind(port, () => process.stdout.write('ready\n'));

/** The query's header and question, and the answer. */
function answerTo(query: Buffer): Buffer {
  let end = HEADER_BYTES;
  while (query[end] !== 0) end += 1 + item(query, end);
  const response = Buffer.concat([query.subarray(0, end + 5), ANSWER]);
  response.writeUInt16BE(query.readUInt16BE(2) | RESPONSE, 2);
  // One question, one answer; nothing of what may have followed in the query.
  for (const [index, count] of [1, 1, 0, 0].entries()) response.writeUInt16BE(count, 4 + 2 * index);
  return response;
}
