import { constants } from 'node:fs';
import { chmod, mkdir, open, rm, rmdir } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Connections } from '../server/connections.js';
import { HttpServer } from '../server/http.js';
import type { Routes } from '../server/route.js';
import { adminDirectory, adminSocket } from './place.js';

/** Bytes of a Unix socket's path, without its final zero (struct sockaddr_un, unix(7)). */
const MAX_SOCKET_PATH = 107;

export interface AdminOptions {
  /** The state directory. This process must have taken it, so that a socket in it is a killed run's. */
  readonly stateDir: string;
  /** Paths begin with the version of the interface: `/v1/pins`. */
  readonly routes: Routes;
  readonly connections: Connections;
  /** Version of this program, for the header `server` of all answers. */
  readonly version: string;
  readonly log: Logger;
}

/**
 * What root on this node may ask and change: HTTP with JSON on a Unix socket in the state directory. It is
 * never on the network, and other users cannot open the socket.
 */
export class AdminChannel {
  readonly #stateDir: string;
  readonly #server: HttpServer;

  private constructor(stateDir: string, server: HttpServer) {
    this.#stateDir = stateDir;
    this.#server = server;
  }

  /** Listens. @returns null if that is not possible. The log then says why, and Services are served. */
  static async open(options: AdminOptions): Promise<AdminChannel | null> {
    const { stateDir, routes, connections, version, log } = options;
    try {
      const path = await prepareSocket(stateDir);
      const headers = { server: `kube-portal/${version}` };
      const server = await HttpServer.listenOnPath(path, { routes, connections, headers });
      await chmod(path, 0o600);
      return new AdminChannel(stateDir, server);
    } catch (error) {
      log.error(
        { reason: (error as Error).message },
        `cannot open the admin channel in --state-dir ${stateDir}; Services are served all the same, but ` +
          'commands such as "kube-portal pins" cannot be answered',
      );
      return null;
    }
  }

  /** Stops listening, closes every connection and removes the socket and its directory. */
  async close(): Promise<void> {
    await this.#server.close();
    await removeAdminSocket(this.#stateDir);
  }
}

/** Removes the socket that a killed run left, and its directory. */
export async function removeAdminSocket(stateDir: string): Promise<void> {
  await rm(adminSocket(stateDir), { force: true }).catch(() => undefined);
  await rmdir(adminDirectory(stateDir)).catch(() => undefined);
}

/** Makes room for the socket in a directory that only this user may enter. @returns the path of the socket */
async function prepareSocket(stateDir: string): Promise<string> {
  const path = adminSocket(stateDir);
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH)
    throw new Error(`${path} is longer than the ${MAX_SOCKET_PATH} bytes that a Unix socket's path may have`);
  await makePrivateDirectory(adminDirectory(stateDir));
  await rm(path, { force: true });
  return path;
}

/** The directory may be there already, with a mode or an owner that another user has chosen. */
async function makePrivateDirectory(path: string): Promise<void> {
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const { uid } = await directory.stat();
    if (uid !== process.geteuid?.()) throw new Error(`${path} belongs to another user (${uid})`);
    await directory.chmod(0o700);
  } finally {
    await directory.close();
  }
}
