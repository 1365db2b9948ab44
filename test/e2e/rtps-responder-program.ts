/**
 * A stand-in for a replica that speaks RTPS. Its arguments are a UDP port and its GUID prefix. It answers
 * each message with one to the sender's participant, which ends with the same bytes.
 */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isRtps, SOURCE_PREFIX_AT } from '../../lib/rtps/message.js';
import { prefixText } from '../../lib/rtps/prefix.js';
import { item } from '../lab/items.js';
import { messageTo, NONCE_SIZE } from './rtps-fuzz.js';

const port = Number(item(process.argv, 2));
const prefix = item(process.argv, 3);
const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
socket.on('message', (message, { address, port }) => {
  if (!isRtps(message)) return;
  const answer = messageTo(prefixText(message, SOURCE_PREFIX_AT), prefix, message.subarray(-NONCE_SIZE));
  socket.send(answer, port, address, () => {});
});
await once(socket.bind(port), 'listening');
process.stdout.write('ready\n');
