/**
 * A client whose participants share one socket, as those of a Cyclone DDS process do. Its argument is a list
 * of `Question` as JSON. It asks one question after the other, and prints the answers as a line of JSON.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { item } from '../lab/items.js';
import type { Question } from './sharedsocket.js';

const questions = JSON.parse(item(process.argv, 2)) as readonly Question[];
const socket = createSocket('udp4');
socket.bind();
await once(socket, 'listening');
const answers: string[][] = [];
for (const { address, port, text, times } of questions) {
  const met = new Set<string>();
  for (let time = 0; time < times; time++) {
    socket.send(Buffer.from(text, 'latin1'), port, address);
    const [answer] = (await once(socket, 'message')) as [Buffer];
    met.add(answer.toString('latin1').split(':')[0] ?? '');
  }
  answers.push([...met]);
}
process.stdout.write(`${JSON.stringify(answers)}\n`);
socket.close();
