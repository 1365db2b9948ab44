import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/host.js';

export interface Forgery {
  /** Who is said to complain. */
  readonly from: string;
  readonly node: string;
  readonly endpoint: string;
  readonly endpointPort: number;
  /** The node's local ports that are tried. */
  readonly firstPort: number;
  readonly lastPort: number;
}

const PROGRAM = fileURLToPath(new URL('icmp-forger-program.js', import.meta.url));

/** Sends the node forged ICMP errors, one for each local port. */
export async function forge(attacker: Host, forgery: Forgery): Promise<void> {
  await attacker.must(process.execPath, [PROGRAM, JSON.stringify(forgery)]);
}
