import { fileURLToPath } from 'node:url';
import type { Host } from './host.js';
import type { Program } from './program.js';

/** What a backend does with a TCP connection. */
export type TcpMode =
  /** Answers an HTTP request with its name and a line end, and closes. */
  | 'http'
  /** Answers each piece of data with `name:data`, and ends when the client does. */
  | 'name'
  /** Answers each piece of data with `name:client`, the address that it sees. */
  | 'client'
  /** Sends everything back. */
  | 'echo'
  /** Reads to the end, then answers `name:bytes` and ends: a half-closed conversation. */
  | 'half-close'
  /** Resets the connection at the first byte. */
  | 'reset'
  /** Reads slowly to the end, then answers with the {@link SinkAnswer} as JSON. */
  | 'sink'
  /** Reads a number and a line end, then sends that many bytes of the pattern and ends. */
  | 'source';

export type UdpMode =
  /** Answers `name:payload`. */
  | 'name'
  /** Answers `name:client`, the address that it sees. */
  | 'client'
  /** Sends the datagram back as it came. */
  | 'echo'
  /** Answers `name:payload` after two seconds. */
  | 'late'
  /** Answers nothing. */
  | 'silent';

/** What a backend serves. Ports are served on all addresses of the host, both families. */
export interface BackendOptions {
  /** What it calls itself; the host's name unless given. */
  readonly name?: string;
  readonly tcp?: Readonly<Record<number, TcpMode>>;
  readonly udp?: Readonly<Record<number, UdpMode>>;
  /** Sinks rest this long, ms, after every megabyte. */
  readonly sinkRestMs?: number;
}

export interface SinkAnswer {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

const PROGRAM = fileURLToPath(new URL('backend-program.js', import.meta.url));

/** Starts a backend in a pod. Resolves once all its ports are open. */
export async function startBackend(host: Host, options: BackendOptions): Promise<Program> {
  const program = host.spawn(process.execPath, [PROGRAM, JSON.stringify({ name: host.name, ...options })]);
  await program.waitForOutput(/^ready$/m);
  return program;
}
