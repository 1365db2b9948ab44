/** TCP peers that end their connections in every way there is, and tell what they saw. */
import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/host.js';
import type { Program } from '../lab/program.js';
import type { Talk } from './talk.js';

/** What the server does with a connection. It ends its side when the client does, unless said otherwise. */
export type ServerMode =
  /** Reads and says nothing. */
  | 'listen'
  /** Reads nothing. */
  | 'deaf'
  /** Says hello, ends its side, and reads on. */
  | 'greet'
  /** Answers the first data with {@link EARLY_ANSWER} in two parts, and closes without reading the rest. */
  | 'early'
  /** Sends for ever. */
  | 'pour'
  /** Resets 50 ms after the first data, reading all the while. */
  | 'resetLater'
  /** See talk.ts. */
  | 'talk';

export const EARLY_ANSWER = 'HTTP/1.1 413 Content Too Large\r\n\r\n'.padEnd(8000, '.');

/** How a connection ended for the server. */
export interface TcpWitness {
  readonly mode: ServerMode;
  /** `end`, or the error's code. */
  readonly outcome: string;
  /** What it read. */
  readonly bytes: number;
  readonly sha256: string;
}

/** What the client does. */
export type ClientMode =
  /** Resets the connection once it is open. */
  | 'abort'
  /** Sends a word, and resets when it must have arrived. */
  | 'abortAfterWord'
  /** Sends a word, ends its side, and resets some time later. */
  | 'abortHalfClosed'
  /** Sends as much as goes, and resets when nothing goes any more. */
  | 'abortWhenStuck'
  /** Reads a megabyte and resets. */
  | 'abortReading'
  /** Reads until the server's end, and then sends a megabyte and ends. */
  | 'answerAfterEnd'
  /** Sends a megabyte now and then until it cannot, reading all the while. */
  | 'pour'
  /**
   * Sends a word and, after the first answer, more than the server reads before it closes. Reads to the end.
   */
  | 'say'
  /** See talk.ts. */
  | 'talk';

export interface ClientRequest {
  readonly mode: ClientMode;
  readonly address: string;
  readonly port: number;
  /** Connections, all at once. */
  readonly connections?: number;
  /** One for each connection in turn. */
  readonly talks?: readonly Talk[];
}

/** How a connection ended for the client. */
export interface ClientReply {
  /** `aborted`, `end`, or the error's code; for talks `intact`, or what went wrong. */
  readonly outcome: string;
  readonly text: string;
}

const program = (name: string) => fileURLToPath(new URL(`${name}.js`, import.meta.url));

/** A server with all modes in a pod. */
export class TcpServer {
  private constructor(readonly program: Program) {}

  static async start(host: Host, ports: Partial<Record<ServerMode, number>>): Promise<TcpServer> {
    const server = host.spawn(process.execPath, [program('tcp-server-program'), JSON.stringify(ports)]);
    await server.waitForOutput(/^ready$/m);
    return new TcpServer(server);
  }

  /** Resolves to what was seen of the connections to one mode, once that many have ended. */
  witnesses(mode: ServerMode, count: number): Promise<TcpWitness[]> {
    return this.program.waitFor(() => {
      const lines = this.program.stdout.split('\n').filter((line) => line.endsWith('}'));
      const seen = lines
        .map((line) => JSON.parse(line) as TcpWitness)
        .filter((witness) => witness.mode === mode);
      return seen.length >= count ? seen : null;
    }, `${count} ended connections to ${mode}`);
  }
}

/** Makes connections in a pod and resolves once each has ended. */
export async function callTcp(host: Host, request: ClientRequest): Promise<ClientReply[]> {
  const args = [program('tcp-client-program'), JSON.stringify(request)];
  return JSON.parse(await host.must(process.execPath, args, { timeoutMs: 80_000 })) as ClientReply[];
}
