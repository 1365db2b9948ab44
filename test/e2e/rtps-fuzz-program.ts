/** The program behind `fuzzRtps`. Its argument is a FuzzOptions as JSON; it prints a FuzzResult as JSON. */

import { createSocket, type Socket } from 'node:dgram';
import { on, once } from 'node:events';
import { announcementOf } from '../../lib/rtps/announcing.js';
import { HEADER_SIZE, SOURCE_PREFIX_AT } from '../../lib/rtps/message.js';
import { prefixBytes, prefixText } from '../../lib/rtps/prefix.js';
import { item } from '../lab/items.js';
import { MESSAGES } from '../rtps/messages.js';
import { type FuzzOptions, type FuzzResult, messageTo, NONCE_SIZE } from './rtps-fuzz.js';

/** Nothing that was to come comes later than that, ms. */
const PATIENCE_MS = 60_000;
const SOCKETS = 8;
/** So many are sent before the next honest one: no socket's buffer on the way is too small for them. */
const WINDOW = 50;
const MOST_BYTES = 2048;
const MOST_MUTATIONS = 5;
const PREFIX = 'beefbeefbeefbeefbeefbeef';
const EDGES = [0, 1, 0x7f, 0x80, 0xff];

const { address, port, count, seed } = JSON.parse(item(process.argv, 2)) as FuzzOptions;

let state = seed;

/** A number from 0 to below `limit` (mulberry32). */
function random(limit: number): number {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
}

/** Writes a mutated message into a buffer. @returns its length */
function mutate(into: Uint8Array): number {
  const original = item(MESSAGES, random(MESSAGES.length));
  into.set(original);
  let { length } = original;
  for (let mutations = random(MOST_MUTATIONS); mutations >= 0; mutations--) {
    const at = random(length);
    switch (random(6)) {
      case 0:
        length = at + 1;
        break;
      case 1:
        length = Math.max(length, splice(into, at));
        break;
      case 2:
        changePrefix(into, length);
        break;
      default:
        into[at] = random(2) === 0 ? random(256) : item(EDGES, random(EDGES.length));
    }
  }
  return length;
}

/** Puts a part of another message at a place. @returns where the part ends */
function splice(into: Uint8Array, at: number): number {
  const other = item(MESSAGES, random(MESSAGES.length));
  const part = other.subarray(random(other.length)).subarray(0, MOST_BYTES - at);
  into.set(part, at);
  return at + part.length;
}

/** Makes it another participant's, in the header and in what it announces of itself. */
function changePrefix(into: Uint8Array, length: number): void {
  if (length < HEADER_SIZE) return;
  const message = Buffer.from(into.buffer, into.byteOffset, length);
  const old = Buffer.from(message.subarray(SOURCE_PREFIX_AT, HEADER_SIZE));
  const changed = Buffer.from(Array.from(old, () => random(256)));
  for (let at = message.indexOf(old); at >= 0; at = message.indexOf(old, at + 1)) message.set(changed, at);
}

async function open(): Promise<Socket> {
  const socket = createSocket({ type: 'udp4' });
  socket.connect(port, address);
  await once(socket, 'connect');
  return socket.on('error', () => {});
}

/** A participant that asks one replica after having announced itself, and waits for each answer. */
class Honest {
  sent = 0;
  lost = 0;
  #replica = '';

  constructor(readonly socket: Socket) {}

  async announce(): Promise<void> {
    const announcement = announcementOf({
      prefix: prefixBytes(PREFIX),
      vendor: 0x0110,
      domainId: 0,
      leaseMs: 3_600_000,
      address: '192.0.2.77',
      port: 7410,
      entityName: 'honest',
      isClient: false,
    });
    const answer = await this.#ask(Buffer.from(announcement));
    if (answer === null) throw new Error('no replica answers');
    this.#replica = prefixText(answer, SOURCE_PREFIX_AT);
  }

  async ask(): Promise<void> {
    const nonce = Buffer.alloc(NONCE_SIZE);
    nonce.writeUInt32LE(this.sent);
    const answer = await this.#ask(messageTo(this.#replica, PREFIX, nonce));
    if (answer === null) this.lost++;
  }

  /** Resolves to the answer; null where none comes. Late answers to others may come before. */
  async #ask(message: Buffer): Promise<Buffer | null> {
    const nonce = message.subarray(-NONCE_SIZE);
    const answers = on(this.socket, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) });
    this.sent++;
    this.socket.send(message);
    try {
      for await (const [answer] of answers) {
        if ((answer as Buffer).subarray(-NONCE_SIZE).equals(nonce)) return answer as Buffer;
      }
    } catch {}
    return null;
  }
}

const sockets = await Promise.all(Array.from({ length: SOCKETS }, open));
const buffers = Array.from({ length: WINDOW }, () => new Uint8Array(MOST_BYTES));
const honest = new Honest(await open());
await honest.announce();
for (let sent = 0; sent < count; sent += WINDOW) {
  for (const buffer of buffers) {
    const length = mutate(buffer);
    item(sockets, random(SOCKETS)).send(buffer.subarray(0, length), () => {});
  }
  await honest.ask();
}
for (const socket of [...sockets, honest.socket]) socket.close();
const { sent, lost } = honest;
process.stdout.write(JSON.stringify({ honest: sent, lost, prefix: PREFIX } satisfies FuzzResult));
