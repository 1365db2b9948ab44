import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { adminSocket } from './place.js';

/** Milliseconds for a whole answer. */
const TIMEOUT_MS = 30_000;

/** What the kube-portal of this node answered. */
export interface AdminAnswer {
  readonly status: number;
  readonly body: string;
  /** Name and version of the program that answered, for example `kube-portal/0.1.0`. */
  readonly server: string;
}

/**
 * Asks the kube-portal that runs with this state directory, over its admin channel.
 *
 * @param path with its query
 * @throws Error that says what to do: no kube-portal runs, or this user is not root
 */
export async function askAdmin(stateDir: string, method: string, path: string): Promise<AdminAnswer> {
  const socketPath = adminSocket(stateDir);
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ socketPath, method, path, signal: AbortSignal.timeout(TIMEOUT_MS) }, resolve)
        .once('error', reject)
        .end();
    });
    const { statusCode: status = 0, headers } = response;
    return { status, body: await text(response), server: String(headers.server ?? '') };
  } catch (error) {
    throw new Error(explain(error as NodeJS.ErrnoException, stateDir), { cause: error });
  }
}

function explain({ code, message }: NodeJS.ErrnoException, stateDir: string): string {
  const socket = adminSocket(stateDir);
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `no kube-portal runs with --state-dir ${stateDir}: ${socket} is not there; give the --state-dir of "kube-portal run"`;
    case 'ECONNREFUSED':
      return `no kube-portal runs with --state-dir ${stateDir}: ${socket} was left by one that was killed`;
    case 'EACCES':
    case 'EPERM':
      return `only root may open ${socket}: run this command as root, for example with sudo`;
    default:
      return `the kube-portal behind ${socket} does not answer: ${message}`;
  }
}
