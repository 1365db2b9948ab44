/**
 * A conversation of which both directions are checked. The client says how much it sends and how much it
 * wants to get. Both send at the same time, in pieces of random sizes with random pauses. At the end, the
 * server sends the digest of what it got.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Digest, patternAt } from '../lab/pattern.js';

export interface Talk {
  /** Bytes from client to server. */
  readonly up: number;
  /** Bytes from server to client. */
  readonly down: number;
  /** Pieces are at most so large, bytes: small ones are relayed by copying, large ones by splice(2). */
  readonly piece: number;
  /** Share of pieces with a pause of up to 3 ms after them. */
  readonly pauses: number;
}

const HEADER_BYTES = 128;
const DIGEST_BYTES = 64;

/** The server's side. */
export async function answerTalk(socket: Socket): Promise<void> {
  const heard = new Digest();
  let header = Buffer.alloc(0);
  let sending: Promise<void> | null = null;
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    let data = chunk;
    if (sending === null) {
      header = Buffer.concat([header, chunk]);
      if (header.length < HEADER_BYTES) continue;
      data = header.subarray(HEADER_BYTES);
      const talk = JSON.parse(header.toString('utf8', 0, HEADER_BYTES)) as Talk;
      sending = speak(socket, talk.down, talk);
    }
    heard.add(data);
  }
  await sending;
  socket.end(heard.hex);
}

/** The client's side. Resolves to null if all arrived as it was sent, else to what went wrong. */
export async function holdTalk(socket: Socket, talk: Talk): Promise<string | null> {
  const spoken = sendAll(socket, talk);
  const heard: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) heard.push(chunk);
  await spoken;
  const all = Buffer.concat(heard);
  if (all.length !== talk.down + DIGEST_BYTES)
    return `heard ${all.length} of ${talk.down + DIGEST_BYTES} bytes`;
  if (digestOf(all.subarray(0, talk.down)) !== patternDigest(talk.down)) return 'heard other bytes';
  const verdict = all.toString('utf8', talk.down);
  return verdict === patternDigest(talk.up) ? null : 'the server heard other bytes';
}

async function sendAll(socket: Socket, talk: Talk): Promise<void> {
  socket.write(JSON.stringify(talk).padEnd(HEADER_BYTES));
  await speak(socket, talk.up, talk);
  socket.end();
}

async function speak(socket: Socket, bytes: number, { piece, pauses }: Talk): Promise<void> {
  for (let offset = 0; offset < bytes; ) {
    const length = Math.min(bytes - offset, 1 + Math.floor(Math.random() * piece));
    if (!socket.write(patternAt(offset, length))) await once(socket, 'drain');
    if (Math.random() < pauses) await sleep(Math.random() * 3);
    offset += length;
  }
}

function patternDigest(bytes: number): string {
  const digest = new Digest();
  for (let offset = 0; offset < bytes; offset += 1 << 18)
    digest.add(patternAt(offset, Math.min(1 << 18, bytes - offset)));
  return digest.hex;
}

function digestOf(data: Buffer): string {
  const digest = new Digest();
  digest.add(data);
  return digest.hex;
}
