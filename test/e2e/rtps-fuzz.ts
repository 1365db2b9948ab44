import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/host.js';

export interface FuzzOptions {
  readonly address: string;
  readonly port: number;
  /** How many mutated datagrams to send. */
  readonly count: number;
  /** The same seed gives the same datagrams. */
  readonly seed: number;
}

export interface FuzzResult {
  /** Datagrams that an honest participant sent between the others. */
  readonly honest: number;
  /** How many of them were not answered. */
  readonly lost: number;
  /** Prefix of the honest participant. */
  readonly prefix: string;
}

/** Bytes by which an answer is known. */
export const NONCE_SIZE = 8;

const PROGRAM = fileURLToPath(new URL('rtps-fuzz-program.js', import.meta.url));
const RESPONDER = fileURLToPath(new URL('rtps-responder-program.js', import.meta.url));

/** Starts what answers {@link fuzzRtps} on a pod. @param prefix of its participant, 24 hexadecimal digits */
export async function startResponder(pod: Host, port: number, prefix: string): Promise<void> {
  const responder = pod.spawn(process.execPath, [RESPONDER, `${port}`, prefix]);
  await responder.waitForOutput(/^ready$/m);
}

/**
 * Sends mutated RTPS messages to a Service, and honest ones between them: the next ones go when an honest one
 * is answered, so that no buffer on the way overflows.
 */
export async function fuzzRtps(host: Host, options: FuzzOptions): Promise<FuzzResult> {
  const output = await host.must(process.execPath, [PROGRAM, JSON.stringify(options)], {
    timeoutMs: 1_000_000,
  });
  return JSON.parse(output) as FuzzResult;
}

/** A message from one participant to another: INFO_DST, and a nonce in a submessage that nobody reads. */
export function messageTo(destination: string, source: string, nonce: Uint8Array): Buffer {
  const head = ['52545053', '0205', '0110', source, '0e010c00', destination, '01010800'];
  return Buffer.concat([Buffer.from(head.join(''), 'hex'), nonce]);
}
