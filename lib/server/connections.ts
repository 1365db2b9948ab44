import type { Socket } from 'node:net';

export interface ConnectionLimits {
  /** Open connections of all HTTP servers together. Beyond it, a new connection closes an old one. */
  readonly maxOpen: number;
  /** Milliseconds. A connection that is silent for longer is closed. A request must arrive in this time. */
  readonly idleMs: number;
}

/**
 * The open connections of all HTTP servers of this process. Their number is limited, so that clients cannot
 * use up the descriptors. A new connection is never refused, because it may be a health probe: an old
 * connection of the client with the most connections is closed instead.
 */
export class Connections {
  readonly limits: ConnectionLimits;
  /** The client's address by connection. The oldest connection comes first. */
  readonly #open = new Map<Socket, string>();
  /** Connections with a request that is not answered yet. */
  readonly #busy = new Set<Socket>();

  constructor(limits: ConnectionLimits) {
    this.limits = limits;
  }

  /** Adds a new connection. At the limit, an old connection is closed. */
  add(socket: Socket): void {
    if (this.#open.size >= this.limits.maxOpen) this.#closeOne();
    this.#open.set(socket, socket.remoteAddress ?? '');
    socket.once('close', () => this.#remove(socket));
  }

  /**
   * Marks the connection as busy, until {@link endRequest}.
   * @returns false if the previous request is not answered yet. Requests in advance (pipelining) take memory,
   * and no client of kube-portal needs them.
   */
  beginRequest(socket: Socket): boolean {
    if (this.#busy.has(socket)) return false;
    this.#busy.add(socket);
    return true;
  }

  endRequest(socket: Socket): void {
    this.#busy.delete(socket);
  }

  /** Closes the oldest idle connection of the client with the most connections, or else its oldest one. */
  #closeOne(): void {
    const client = this.#clientWithMost();
    const candidates = [...this.#open.keys()].filter((socket) => this.#open.get(socket) === client);
    const victim = candidates.find((socket) => !this.#busy.has(socket)) ?? candidates[0];
    if (victim === undefined) return;
    this.#remove(victim);
    victim.destroy();
  }

  #clientWithMost(): string | undefined {
    const counts = new Map<string, number>();
    for (const client of this.#open.values()) counts.set(client, (counts.get(client) ?? 0) + 1);
    const max = Math.max(...counts.values());
    return [...counts.keys()].find((client) => counts.get(client) === max);
  }

  #remove(socket: Socket): void {
    this.#open.delete(socket);
    this.#busy.delete(socket);
  }
}
