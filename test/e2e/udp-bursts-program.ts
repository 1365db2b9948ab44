/**
 * The program of `UdpBursts`. Its argument is UdpBurstsOptions as JSON. The line `burst` asks for a burst
 * from every socket, `single` for one datagram. After each line the program prints a line of JSON: how many
 * answers have come by then.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { createInterface } from 'node:readline';
import { item } from '../lab/items.js';
import { growReceiveBuffer } from './receivebuffer.js';
import type { UdpBurstsOptions } from './udp-bursts.js';

const {
  address,
  port,
  flows,
  datagrams,
  firstFlow = 0,
  bytes = 64,
} = JSON.parse(item(process.argv, 2)) as UdpBurstsOptions;

interface Flow {
  readonly socket: Socket;
  readonly number: number;
  sent: number;
}

let answers = 0;
let doubled = 0;

async function open(number: number): Promise<Flow> {
  const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4' });
  socket.on('error', () => {});
  const answered = new Set<number>();
  socket.on('message', (answer) => {
    const number = answer.readUInt32BE(4);
    if (answered.has(number)) doubled++;
    answered.add(number);
    answers++;
  });
  socket.connect(port, address);
  await once(socket, 'connect');
  growReceiveBuffer(socket, 1 << 20);
  return { socket, number, sent: 0 };
}

function send(flow: Flow): void {
  const payload = Buffer.alloc(bytes);
  payload.writeUInt32BE(flow.number, 0);
  payload.writeUInt32BE(flow.sent++, 4);
  flow.socket.send(payload, () => {});
}

const opened: Flow[] = [];
for (let number = 0; number < flows; number++) opened.push(await open(firstFlow + number));
process.stdout.write('ready\n');
for await (const line of createInterface({ input: process.stdin })) {
  const counts: Readonly<Record<string, number>> = { burst: datagrams, single: 1 };
  for (const flow of opened) for (let count = 0; count < (counts[line] ?? 0); count++) send(flow);
  process.stdout.write(`${JSON.stringify({ answers, doubled })}\n`);
}
for (const { socket } of opened) socket.close();
