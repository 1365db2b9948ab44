/**
 * The program of `UdpRecorder`. Arguments: port, and whether it answers. A datagram begins with two 32-bit
 * numbers: the flow's, and its own in the flow. A line of input asks for the records, as one line of JSON.
 */
import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { item } from '../lab/items.js';
import { growReceiveBuffer } from './receivebuffer.js';
import type { FlowRecord } from './udp-recorder.js';

const port = Number(item(process.argv, 2));
const isAnswering = item(process.argv, 3) === 'answers';
const flows = new Map<number, { numbers: number[]; clients: Set<string> }>();

function record(message: Buffer, from: RemoteInfo): void {
  const flow = message.readUInt32BE(0);
  const known = flows.get(flow) ?? { numbers: [], clients: new Set<string>() };
  known.numbers.push(message.readUInt32BE(4));
  known.clients.add(`${from.address} ${from.port}`);
  flows.set(flow, known);
}

for (const type of ['udp4', 'udp6'] as const) {
  const socket = createSocket({ type, ipv6Only: type === 'udp6' });
  socket.on('message', (message, from) => {
    record(message, from);
    if (isAnswering) socket.send(message, from.port, from.address, () => {});
  });
  socket.bind(port);
  await once(socket, 'listening');
  growReceiveBuffer(socket, 16 << 20);
}
process.stdout.write('ready\n');
for await (const _ of createInterface({ input: process.stdin })) {
  const records = Array.from(
    flows,
    ([flow, { numbers, clients }]): FlowRecord => ({ flow, numbers, clients: [...clients] }),
  );
  process.stdout.write(`${JSON.stringify(records)}\n`);
}
