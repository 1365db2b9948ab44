/** A retired socket stays open for this time. Resolvers wait 5 s for an answer. */
const RETIREMENT_MS = 5000;

/**
 * Sockets whose flows have moved to another endpoint. They stay open for answers that are under way: an
 * endpoint that was removed from its Service may still answer.
 */
export class RetiredSockets<Socket> {
  /** When each socket must close, in the order of these times. */
  readonly #sockets = new Map<Socket, number>();

  /** When the next socket must close; Infinity if there is none. */
  get deadline(): number {
    return this.#first()?.[1] ?? Number.POSITIVE_INFINITY;
  }

  add(socket: Socket, now: number): void {
    this.#sockets.set(socket, now + RETIREMENT_MS);
  }

  delete(socket: Socket): void {
    this.#sockets.delete(socket);
  }

  /** @returns a socket whose time is over, or null. The caller must close it. */
  expired(now: number): Socket | null {
    const first = this.#first();
    return first !== undefined && first[1] <= now ? first[0] : null;
  }

  #first(): [Socket, number] | undefined {
    // Every turn of the loop comes here, and nearly always there are no sockets: make no iterator.
    if (this.#sockets.size === 0) return undefined;
    return this.#sockets.entries().next().value;
  }
}
