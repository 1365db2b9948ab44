/** How long, ms, an answer may take: resolvers wait 5 s for one. */
const STAY = 5000;

/**
 * Sockets that flows have left for another endpoint. They stay open for the answers to what was asked before:
 * an endpoint that leaves its Service ends in its own time.
 */
export class RetiredSockets<Socket> {
  /** Until when each stays, in this order. */
  readonly #sockets = new Map<Socket, number>();

  /** When the next one's time is up. */
  get deadline(): number {
    return this.#first()?.[1] ?? Number.POSITIVE_INFINITY;
  }

  add(socket: Socket, now: number): void {
    this.#sockets.set(socket, now + STAY);
  }

  delete(socket: Socket): void {
    this.#sockets.delete(socket);
  }

  /** @returns a socket whose time is up, or null; closing it is the caller's */
  expired(now: number): Socket | null {
    const first = this.#first();
    return first !== undefined && first[1] <= now ? first[0] : null;
  }

  #first(): [Socket, number] | undefined {
    // Asked at every turn of the loop, and nearly always empty.
    if (this.#sockets.size === 0) return undefined;
    return this.#sockets.entries().next().value;
  }
}
