import type { Socket } from 'node:net';

export interface ConnectionLimits {
  /** Connections of all HTTP servers together. */
  readonly most: number;
  /** How long, ms, a connection may be silent, and a request may take to arrive. */
  readonly idleMs: number;
}

/**
 * The connections of all HTTP servers of this process. There are few, so that nobody can use up the
 * descriptors by holding them; a new one is never refused, as it may be a probe: one of those that have it in
 * their power to come again makes room.
 */
export class Connections {
  readonly limits: ConnectionLimits;
  /** In the order in which they came, with the address of the client. */
  readonly #open = new Map<Socket, string>();
  /** Those that wait for an answer. */
  readonly #busy = new Set<Socket>();

  constructor(limits: ConnectionLimits) {
    this.limits = limits;
  }

  /** Takes a new connection in, for another one if need be. */
  add(socket: Socket): void {
    if (this.#open.size >= this.limits.most) this.#makeRoom();
    this.#open.set(socket, socket.remoteAddress ?? '');
    socket.once('close', () => this.#remove(socket));
  }

  /**
   * A request has come over the connection; it is idle again once it was answered.
   * @returns false where the one before has not been answered: none of our clients needs to ask ahead, and
   * what waits takes memory
   */
  beginRequest(socket: Socket): boolean {
    if (this.#busy.has(socket)) return false;
    this.#busy.add(socket);
    return true;
  }

  endRequest(socket: Socket): void {
    this.#busy.delete(socket);
  }

  /** Of the client that has most: the one that is idle for longest, else the oldest. */
  #makeRoom(): void {
    const client = this.#greediest();
    const own = [...this.#open.keys()].filter((socket) => this.#open.get(socket) === client);
    const last = own.find((socket) => !this.#busy.has(socket)) ?? own[0];
    if (last === undefined) return;
    this.#remove(last);
    last.destroy();
  }

  #greediest(): string | undefined {
    const counts = new Map<string, number>();
    for (const client of this.#open.values()) counts.set(client, (counts.get(client) ?? 0) + 1);
    const most = Math.max(...counts.values());
    return [...counts.keys()].find((client) => counts.get(client) === most);
  }

  #remove(socket: Socket): void {
    this.#open.delete(socket);
    this.#busy.delete(socket);
  }
}
