import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/host.js';

export interface Forgery {
  /** What is said of the endpoint: that the port is closed, or that no such host is there. */
  readonly says: 'no port' | 'no host';
  /** Who is said to complain. */
  readonly from: string;
  /** Who is said to have sent the datagram: the error goes there. */
  readonly to: string;
  readonly endpoint: string;
  readonly endpointPort: number;
  /** Ports of the sender that are tried. */
  readonly firstPort: number;
  readonly lastPort: number;
}

const PROGRAM = fileURLToPath(new URL('icmp-forger-program.js', import.meta.url));

/** Sends forged ICMP errors, one for each port of the sender. */
export async function forge(attacker: Host, forgery: Forgery): Promise<void> {
  await attacker.must(process.execPath, [PROGRAM, JSON.stringify(forgery)]);
}
