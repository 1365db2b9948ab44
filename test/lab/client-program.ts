/** The program behind `client.ts`. Its argument is a Request as JSON, its output the reply. */

import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv6, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { addressBytes, addressText } from '../../lib/net/address.js';
import type {
  Conversation,
  FloodReply,
  FloodRequest,
  HoldReply,
  HoldRequest,
  Outcome,
  Request,
  Target,
  TcpReply,
  TcpRequest,
  TransferReply,
  TransferRequest,
  UdpReply,
  UdpRequest,
} from './client.js';
import { item } from './items.js';
import { chunks, Digest, patternAt } from './pattern.js';

const MEGABYTE = 1 << 20;
/** A server that says nothing for so long, ms, has nothing to say. */
const PATIENCE_MS = 20_000;

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? String(error);

/** Runs jobs, some at once. Resolves to their results in order. */
async function inParallel<Job, Value>(
  jobs: readonly Job[],
  concurrency: number,
  work: (job: Job) => Promise<Value>,
): Promise<Value[]> {
  const results = new Array<Value>(jobs.length);
  let next = 0;
  const lane = async () => {
    for (let i = next++; i < jobs.length; i = next++) results[i] = await work(item(jobs, i));
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, jobs.length) }, lane));
  return results;
}

function repeated<Value>(values: readonly Value[], times: number): Value[] {
  return values.flatMap((value) => new Array<Value>(times).fill(value));
}

function tcp(request: TcpRequest): Promise<TcpReply[]> {
  const sources = repeated(request.sources ?? [''], request.times ?? 1);
  return inParallel(sources, request.concurrency ?? 16, (source) => converse(request, source));
}

function open(request: { address: string; port: number }, source: string): Socket {
  return connect({
    host: request.address,
    port: request.port,
    noDelay: true,
    allowHalfOpen: true,
    ...(source !== '' && { localAddress: source }),
  });
}

async function converse(request: TcpRequest, source: string): Promise<TcpReply> {
  const socket = open(request, source);
  let text = '';
  const outcome = await new Promise<Outcome>((resolve) => {
    socket.setTimeout(PATIENCE_MS, () => resolve('silence'));
    socket.on('error', (error) => resolve(codeOf(error)));
    socket.on('end', () => resolve('end'));
    socket.on('data', (data) => {
      text += data;
      if (request.until !== 'end') resolve('answer');
    });
    if (request.halfClose) socket.end(request.send ?? '');
    else if (request.send !== undefined) socket.write(request.send);
  });
  if (request.reset) socket.resetAndDestroy();
  else socket.end(() => socket.destroy());
  return { source, text, outcome };
}

function udp(request: UdpRequest): Promise<UdpReply[]> {
  const sources = repeated(request.sources ?? [''], request.sockets ?? 1);
  return inParallel(sources, request.concurrency ?? 16, (source) => exchange(request, source));
}

async function exchange(request: UdpRequest, source: string): Promise<UdpReply> {
  const answers: string[] = [];
  try {
    const socket = await openUdp(request, source);
    const { payloads = [request.payload ?? '?'], times = payloads.length } = request;
    for (let i = 0; i < times; i++) {
      answers.push(await roundTrip(socket, { ...request, payload: payloads[i % payloads.length] ?? '?' }));
    }
    socket.close();
  } catch (error) {
    answers.push(codeOf(error));
  }
  return { source, answers };
}

/** A socket that takes answers from the address that it asks and from no other. */
async function openUdp({ address, port }: Target, source: string): Promise<UdpSocket> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  if (source !== '') {
    socket.bind(0, source);
    await once(socket, 'listening');
  }
  socket.connect(port, address);
  await once(socket, 'connect');
  return socket;
}

async function roundTrip(socket: UdpSocket, request: UdpRequest): Promise<string> {
  const signal = AbortSignal.timeout(request.patienceMs ?? 5000);
  try {
    return await answerOf(socket, request, signal);
  } catch (error) {
    return signal.aborted ? 'silence' : codeOf(error);
  }
}

async function answerOf(
  socket: UdpSocket,
  { payload = '?', bytes }: Pick<UdpRequest, 'payload' | 'bytes'>,
  signal: AbortSignal,
): Promise<string> {
  const answered = once(socket, 'message', { signal });
  socket.send(bytes === undefined ? payload : patternAt(0, bytes), () => {});
  const [message] = (await answered) as [Buffer];
  if (bytes === undefined) return String(message);
  const digest = new Digest();
  digest.add(message);
  return `${digest.bytes}:${digest.hex}`;
}

async function transfer(request: TransferRequest): Promise<TransferReply> {
  const socket = open(request, '');
  const digest = new Digest();
  let text = '';
  let outcome: Outcome = 'end';
  try {
    if (request.direction === 'upload') {
      for (const chunk of chunks(request.bytes)) {
        digest.add(chunk);
        if (!socket.write(chunk)) await once(socket, 'drain');
      }
      socket.end();
      for await (const chunk of socket) text += chunk;
    } else {
      socket.write(`${request.bytes}\n`);
      await readSlowly(socket, digest, request.restMs);
      socket.end();
    }
  } catch (error) {
    outcome = codeOf(error);
  }
  return { bytes: digest.bytes, sha256: digest.hex, text, outcome };
}

async function readSlowly(socket: Socket, digest: Digest, restMs: number | undefined): Promise<void> {
  let rested = 0;
  for await (const chunk of socket) {
    digest.add(chunk as Buffer);
    if (restMs === undefined || digest.bytes - rested < MEGABYTE) continue;
    rested = digest.bytes;
    await sleep(restMs);
  }
}

/** An open connection or flow. */
interface Held {
  /** One round trip. @throws the error that came instead of an answer */
  ask(signal: AbortSignal): Promise<string>;
  close(): void;
}

/** A line of output for each round; a line of input asks for the next. */
async function hold(request: HoldRequest): Promise<void> {
  const { connections, port, ports = 1, sources = [''] } = request;
  const jobs = Array.from({ length: connections }, (_, i) => i);
  const open = request.protocol === 'UDP' ? holdUdp : holdTcp;
  const held = await inParallel(jobs, 64, (i) =>
    open({ ...request, port: port + (i % ports) }, item(sources, i % sources.length)),
  );
  const report = async () => process.stdout.write(`${JSON.stringify(await roundOver(held, request))}\n`);
  await report();
  for await (const _ of createInterface({ input: process.stdin })) await report();
  for (const each of held) each.close();
}

async function holdTcp(request: HoldRequest, source: string): Promise<Held> {
  const socket = open(request, source);
  await new Promise<void>((resolve) => {
    socket.once('connect', resolve);
    socket.on('error', () => resolve());
  });
  // A server that ends will not answer; without this the next round would wait for it.
  socket.on('end', () => socket.destroy(Object.assign(new Error('the server ended'), { code: 'end' })));
  return {
    async ask(signal) {
      if (socket.destroyed) throw socket.errored;
      socket.write('?');
      const [data] = (await once(socket, 'data', { signal })) as [Buffer];
      return String(data);
    },
    close: () => socket.destroy(),
  };
}

async function holdUdp(request: HoldRequest, source: string): Promise<Held> {
  const socket = await openUdp(request, source);
  // An error between two rounds is the next round's to find.
  socket.on('error', () => {});
  return { ask: (signal) => answerOf(socket, {}, signal), close: () => socket.close() };
}

async function roundOver(
  held: readonly Held[],
  { listAnswers = false, patienceMs = PATIENCE_MS }: HoldRequest,
): Promise<HoldReply> {
  const errors = new Set<string>();
  let answered = 0;
  const answers = await inParallel(held, 64, async (each) => {
    try {
      const text = await each.ask(AbortSignal.timeout(patienceMs));
      answered++;
      return text;
    } catch (error) {
      const code = codeOf(error);
      errors.add(code);
      return code;
    }
  });
  return { answered, errors: [...errors], ...(listAnswers && { answers }) };
}

async function flood(request: FloodRequest): Promise<FloodReply> {
  const PERIOD_MS = 20;
  const perPeriod = Math.max(1, Math.round((request.perSecond * PERIOD_MS) / 1000));
  const first = Buffer.from(addressBytes(request.firstSource)).readUInt32BE();
  for (let sent = 0; sent < request.sources; ) {
    const batch = Math.min(perPeriod, request.sources - sent);
    const addresses = Array.from({ length: batch }, (_, i) => addressOf(first + sent + i));
    await Promise.all([sleep(PERIOD_MS), ...addresses.map((source) => sendOne(request, source))]);
    sent += batch;
  }
  return { sent: request.sources };
}

function addressOf(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return addressText(bytes);
}

async function sendOne({ port, address }: FloodRequest, source: string): Promise<void> {
  const socket = createSocket('udp4');
  socket.bind(0, source);
  await once(socket, 'listening');
  await new Promise((resolve) => socket.send('?', port, address, resolve));
  socket.close();
}

const request = JSON.parse(item(process.argv, 2)) as Request;
switch (request.what) {
  case 'tcp':
  case 'udp':
    print(await converseOnce(request));
    break;
  case 'each':
    print(await inParallel(request.conversations, 1, converseOnce));
    break;
  case 'transfer':
    print(await transfer(request));
    break;
  case 'flood':
    print(await flood(request));
    break;
  case 'hold':
    await hold(request);
    break;
}

function converseOnce(request: Conversation): Promise<TcpReply[] | UdpReply[]> {
  return request.what === 'tcp' ? tcp(request) : udp(request);
}

function print(reply: object): void {
  process.stdout.write(JSON.stringify(reply));
}
