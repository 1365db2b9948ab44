/**
 * The program of `UdpTalker`: one UDP socket. Its argument is a UdpTalkerOptions as JSON. Each line of input
 * is a list of payload sizes, or a word, to send at once. For each line, the program prints the answers as
 * one line of JSON.
 */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { createInterface } from 'node:readline';
import { item } from '../lab/items.js';
import { patternAt } from '../lab/pattern.js';
import type { BurstReply, Saying, UdpTalkerOptions } from './udp-talker.js';

/** Nothing that was to come comes later than that, ms. */
const PATIENCE_MS = 10_000;

const { address, port } = JSON.parse(item(process.argv, 2)) as UdpTalkerOptions;
const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', recvBufferSize: 4 << 20 });
socket.connect(port, address);
await once(socket, 'connect');
socket.on('error', () => {});

/** Sends all of it and waits for as many answers. */
function burst(payloads: readonly Buffer[]): Promise<Buffer[]> {
  const answers: Buffer[] = [];
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      socket.off('message', collect);
      resolve(answers);
    };
    const collect = (message: Buffer) => {
      if (answers.push(message) === payloads.length) finish();
    };
    const timer = setTimeout(finish, PATIENCE_MS);
    socket.on('message', collect);
    for (const payload of payloads) socket.send(payload, () => {});
  });
}

async function replyTo(saying: Saying): Promise<BurstReply | { answer: string | null }> {
  if ('word' in saying) {
    const [answer] = await burst([Buffer.from(saying.word)]);
    return { answer: answer === undefined ? null : String(answer) };
  }
  const payloads = saying.sizes.map((size, index) => Buffer.from(patternAt(index * 1000, size)));
  const answers = await burst(payloads);
  return {
    sizes: answers.map(({ length }) => length),
    intact: answers.every((answer, index) => item(payloads, index).equals(answer)),
  };
}

process.stdout.write('ready\n');
for await (const line of createInterface({ input: process.stdin }))
  process.stdout.write(`${JSON.stringify(await replyTo(JSON.parse(line) as Saying))}\n`);
socket.close();
