/** The program behind `client.ts`. Its argument is a Request as JSON, its output the reply. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv6, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { addressBytes, addressText } from '../../lib/sys/sockaddr.js';
import type {
  FloodReply,
  FloodRequest,
  HoldReply,
  HoldRequest,
  Outcome,
  Request,
  TcpReply,
  TcpRequest,
  TransferReply,
  TransferRequest,
  UdpReply,
  UdpRequest,
} from './client.js';
import { chunks, Digest, patternAt } from './pattern.js';

const MEGABYTE = 1 << 20;
/** A server that says nothing for so long, ms, has nothing to say. */
const TCP_PATIENCE_MS = 20_000;

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
    for (let i = next++; i < jobs.length; i = next++) results[i] = await work(jobs[i]);
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
    socket.setTimeout(TCP_PATIENCE_MS, () => resolve('silence'));
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
  const socket = createSocket(isIPv6(request.address) ? 'udp6' : 'udp4');
  const answers: string[] = [];
  try {
    if (source !== '') {
      socket.bind(0, source);
      await once(socket, 'listening');
    }
    socket.connect(request.port, request.address);
    await once(socket, 'connect');
    for (let i = 0; i < (request.times ?? 1); i++) answers.push(await roundTrip(socket, request));
  } catch (error) {
    answers.push(codeOf(error));
  } finally {
    socket.close();
  }
  return { source, answers };
}

async function roundTrip(
  socket: UdpSocket,
  { payload = '?', bytes, patienceMs = 5000 }: UdpRequest,
): Promise<string> {
  const signal = AbortSignal.timeout(patienceMs);
  try {
    const answered = once(socket, 'message', { signal });
    socket.send(bytes === undefined ? payload : patternAt(0, bytes), () => {});
    const [message] = (await answered) as [Buffer];
    if (bytes === undefined) return String(message);
    const digest = new Digest();
    digest.add(message);
    return `${digest.bytes}:${digest.hex}`;
  } catch (error) {
    return signal.aborted ? 'silence' : codeOf(error);
  }
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

/** A line of output for each round; a line of input asks for the next. */
async function hold(request: HoldRequest): Promise<void> {
  const sources = request.sources ?? [''];
  const sockets = Array.from({ length: request.connections }, (_, i) => sources[i % sources.length]);
  const held = await inParallel(sockets, 64, (source) => opened(open(request, source)));
  const report = async () => process.stdout.write(`${JSON.stringify(await roundOver(held))}\n`);
  await report();
  for await (const _ of createInterface({ input: process.stdin })) await report();
  for (const socket of held) socket.destroy();
}

function opened(socket: Socket): Promise<Socket> {
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(socket));
  });
}

async function roundOver(sockets: readonly Socket[]): Promise<HoldReply> {
  const outcomes = await inParallel(sockets, 64, async (socket) => {
    if (socket.destroyed) return codeOf(socket.errored);
    socket.write('?');
    try {
      await once(socket, 'data', { signal: AbortSignal.timeout(TCP_PATIENCE_MS) });
      return null;
    } catch (error) {
      return codeOf(error);
    }
  });
  const errors = outcomes.filter((outcome) => outcome !== null);
  return { answered: outcomes.length - errors.length, errors: [...new Set(errors)] };
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

const request = JSON.parse(process.argv[2]) as Request;
switch (request.what) {
  case 'tcp':
    print(await tcp(request));
    break;
  case 'udp':
    print(await udp(request));
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

function print(reply: object): void {
  process.stdout.write(JSON.stringify(reply));
}
