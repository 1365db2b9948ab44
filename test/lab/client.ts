/** Clients for what curl and its kind cannot do. They run in a pod and answer in JSON. */

import { fileURLToPath } from 'node:url';
import type { Protocol } from '../../lib/net/protocol.js';
import type { Host } from './host.js';
import type { Program } from './program.js';

export interface Target {
  readonly address: string;
  readonly port: number;
}

/** How a conversation ended: an answer, an end, no answer, or an error (`ECONNRESET`, `ECONNREFUSED`, …). */
export type Outcome = 'end' | 'answer' | 'silence' | string;

export interface TcpRequest extends Target {
  /** Addresses to connect from, in turn; the system's choice unless given. */
  readonly sources?: readonly string[];
  /** Connections from each source. */
  readonly times?: number;
  /** How many at once. */
  readonly concurrency?: number;
  readonly send?: string;
  /** Shuts the sending side down after `send`. */
  readonly halfClose?: boolean;
  /** Resets the connection once it has its first answer. */
  readonly reset?: boolean;
  /**
   * `end`: reads until the server ends, `answer`: the first piece of an answer is enough.
   * @defaultValue `answer`
   */
  readonly until?: 'end' | 'answer';
}

export interface TcpReply {
  readonly source: string;
  readonly text: string;
  readonly outcome: Outcome;
}

export interface UdpRequest extends Target {
  readonly sources?: readonly string[];
  /** Sockets for each source. */
  readonly sockets?: number;
  /** Datagrams from each socket, one after the other's answer. */
  readonly times?: number;
  readonly concurrency?: number;
  readonly payload?: string;
  /** Instead of `payload`: these in turn, from each socket. */
  readonly payloads?: readonly string[];
  /** Instead of `payload`: this many bytes of the pattern. */
  readonly bytes?: number;
  /** Waits so long, ms, for each answer. */
  readonly patienceMs?: number;
}

export interface UdpReply {
  readonly source: string;
  /**
   * Answers as text. For `bytes` requests: `bytes:sha256`. Without an answer: `silence` or the error's code.
   */
  readonly answers: readonly string[];
}

export interface TransferRequest extends Target {
  readonly direction: 'upload' | 'download';
  readonly bytes: number;
  /** Rests so long, ms, after every megabyte read. */
  readonly restMs?: number;
}

export interface TransferReply {
  readonly bytes: number;
  readonly sha256: string;
  /** What the server said at the end of an upload. */
  readonly text: string;
  readonly outcome: Outcome;
}

export interface HoldRequest extends Target {
  /** UDP: sockets of their own source ports, each one flow. @defaultValue `TCP` */
  readonly protocol?: Protocol;
  readonly connections: number;
  /** The connections go to so many ports in turn, from `port` on. @defaultValue 1 */
  readonly ports?: number;
  readonly sources?: readonly string[];
  /** Waits so long, ms, for each answer. */
  readonly patienceMs?: number;
  /** Wants the answers in the reply. */
  readonly listAnswers?: boolean;
}

/** After each round trip over all held connections. */
export interface HoldReply {
  readonly answered: number;
  readonly errors: readonly string[];
  /** In the order of the connections: the text of each answer, or the error's code. Only where asked for. */
  readonly answers?: readonly string[];
}

export interface FloodRequest extends Target {
  /** First of the range of source addresses (IPv4, see Pod.ownRange). */
  readonly firstSource: string;
  readonly sources: number;
  /** Datagrams, each from the next source. */
  readonly perSecond: number;
}

export interface FloodReply {
  readonly sent: number;
}

/** What one client program can do one after the other. */
export type Conversation = ({ readonly what: 'tcp' } & TcpRequest) | ({ readonly what: 'udp' } & UdpRequest);

export type Request =
  | Conversation
  | { readonly what: 'each'; readonly conversations: readonly Conversation[] }
  | ({ readonly what: 'transfer' } & TransferRequest)
  | ({ readonly what: 'hold' } & HoldRequest)
  | ({ readonly what: 'flood' } & FloodRequest);

const PROGRAM = fileURLToPath(new URL('client-program.js', import.meta.url));
const TIMEOUT_MS = 240_000;

/** One connection after the other, or several at once. */
export function askTcp(host: Host, request: TcpRequest): Promise<TcpReply[]> {
  return ask(host, { what: 'tcp', ...request });
}

/** UDP round trips, from one socket or many. */
export function askUdp(host: Host, request: UdpRequest): Promise<UdpReply[]> {
  return ask(host, { what: 'udp', ...request });
}

/** Several questions, one after the other, from one program: many little ones take less time so. */
export function askEach(
  host: Host,
  conversations: readonly Conversation[],
): Promise<(TcpReply[] | UdpReply[])[]> {
  return ask(host, { what: 'each', conversations });
}

/** Sends much to a `sink`, or reads much from a `source`. */
export function transfer(host: Host, request: TransferRequest): Promise<TransferReply> {
  return ask(host, { what: 'transfer', ...request });
}

/** Datagrams from a great many addresses; answers are not awaited. */
export function flood(host: Host, request: FloodRequest): Promise<FloodReply> {
  return ask(host, { what: 'flood', ...request });
}

async function ask<Reply>(host: Host, request: Request): Promise<Reply> {
  const args = [PROGRAM, JSON.stringify(request)];
  return JSON.parse(await host.must(process.execPath, args, { timeoutMs: TIMEOUT_MS })) as Reply;
}

/** Many connections or UDP flows to a `name` or `echo` port. They are open until the test closes them. */
export class HeldConnections {
  #rounds = 0;

  private constructor(readonly program: Program) {}

  /** Starts to open them. Await {@link round} for the first reply: it comes when all are open, or failed. */
  static open(host: Host, request: HoldRequest): HeldConnections {
    const hold: Request = { what: 'hold', ...request };
    return new HeldConnections(host.spawn(process.execPath, [PROGRAM, JSON.stringify(hold)]));
  }

  /** One round trip over each connection. */
  async round(): Promise<HoldReply> {
    if (this.#rounds++ > 0) this.program.write('again\n');
    const line = await this.program.waitFor(
      () => this.program.stdout.split('\n').slice(0, -1)[this.#rounds - 1] ?? null,
      `reply ${this.#rounds}`,
      TIMEOUT_MS,
    );
    return JSON.parse(line) as HoldReply;
  }

  /** Closes them all. */
  async close(): Promise<void> {
    this.program.closeInput();
    await this.program.exited;
  }
}
